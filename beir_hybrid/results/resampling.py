"""Bootstrap draws, sign flips and p-values of paired differences by group."""

from collections.abc import Callable, Iterator

import numpy as np

from beir_hybrid.checks import check_positive, check_seed

SAMPLES = 1000  # of the bootstrap behind stored intervals
_BLOCK = 2**21  # numbers held at once while resampling: 16 MiB an array
_ROUNDING = 1e-12  # relative; smaller differences are artefacts of floating point


def subtract_shares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a - b, and 0 where the difference is a rounding error."""
    delta: np.ndarray = a - b
    delta[np.abs(delta) <= _ROUNDING * np.maximum(np.abs(a), np.abs(b)).max()] = 0
    return delta


def is_constant(differences: np.ndarray) -> bool:
    """Return whether numbers differ by no more than rounding."""
    return bool(np.ptp(differences) <= _ROUNDING * np.abs(differences).max())


def generate_weights(n: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of bootstrap weights, each row a draw of n groups out of n."""
    check_positive(queries=n, samples=samples)
    check_seed(seed=seed)
    generator = np.random.default_rng(seed)
    for rows in _split_samples(n, samples):
        draws = generator.integers(n, size=(len(rows), n))
        draws += np.arange(len(rows))[:, None] * n
        counts = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape)
        yield counts.astype(np.float64)


def is_exhaustive(n: int, samples: int) -> bool:
    """Return whether all 2^n flips of n groups are no more than the samples."""
    return n < samples.bit_length()


def _generate_flips(n: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of signs, +1 or -1 for each of n groups; every combination if few enough."""
    if is_exhaustive(n, samples):
        for rows in _split_samples(n, 2**n):
            yield (np.asarray(rows)[:, None] >> np.arange(n) & 1) * 2.0 - 1
        return
    check_seed(seed=seed)
    generator = np.random.default_rng(seed)
    for rows in _split_samples(n, samples):
        bits = generator.integers(256, size=(len(rows), -(-n // 8)), dtype=np.uint8)
        yield np.unpackbits(bits, axis=1, count=n) * 2.0 - 1


def _split_samples(n: int, samples: int) -> Iterator[range]:
    """Split samples of n numbers into ranges that fit into a block."""
    step = max(1, _BLOCK // n)
    return (range(start, min(start + step, samples)) for start in range(0, samples, step))


def _test_by_randomisation(differences: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return a p for each column of (Q, P) differences; all columns see the same flips."""
    n = len(differences)
    check_positive(queries=n, samples=samples)
    # A flip that gives the observed mean again must count, whatever the order of addition.
    slack = _ROUNDING * np.abs(differences).sum(axis=0)
    threshold = np.abs(differences.sum(axis=0)) - slack
    hits = np.zeros(differences.shape[1])
    for signs in _generate_flips(n, samples, seed):
        hits += np.sum(np.abs(signs @ differences) >= threshold, axis=0)
    p: np.ndarray = hits / 2**n if is_exhaustive(n, samples) else (hits + 1) / (samples + 1)
    return p


def _test_by_t(differences: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return a p for each column of (Q, P) differences; draws nothing."""
    del samples, seed
    from scipy.stats import ttest_1samp

    is_flat = np.array([is_constant(column) for column in differences.T])
    p = np.where((differences[0] == 0) | (len(differences) == 1), 1.0, 0.0)
    if not is_flat.all():
        p[~is_flat] = ttest_1samp(differences[:, ~is_flat], 0.0, axis=0).pvalue
    return p


TESTS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "randomisation": _test_by_randomisation,
    "t": _test_by_t,
}
