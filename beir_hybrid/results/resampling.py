"""Differences by question in, p-values out; and the draws and flips of questions behind them."""

from collections.abc import Callable, Iterator

import numpy as np

from beir_hybrid.checks import check_positive

_BLOCK = 2**21  # numbers held at once while resampling: 16 MiB an array
_ROUNDING = 1e-12  # relative; what is smaller than this is an artefact of floating point


def differences_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a - b, and 0 where only rounding tells them apart."""
    delta: np.ndarray = a - b
    delta[np.abs(delta) <= _ROUNDING * np.maximum(np.abs(a), np.abs(b)).max()] = 0
    return delta


def weights_of(n: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of bootstrap weights, each row a draw of n questions out of n."""
    check_positive(queries=n, samples=samples)
    generator = np.random.default_rng(seed)
    for rows in _blocks(n, samples):
        drawn = generator.integers(n, size=(len(rows), n))
        drawn += np.arange(len(rows))[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield counts.astype(np.float64)


def _flips(n: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of signs, +1 or -1 for each of n questions; every combination if few enough."""
    if all_flips(n, samples):
        for rows in _blocks(n, 2**n):
            yield (np.asarray(rows)[:, None] >> np.arange(n) & 1) * 2.0 - 1
        return
    generator = np.random.default_rng(seed)
    for rows in _blocks(n, samples):
        packed = generator.integers(256, size=(len(rows), -(-n // 8)), dtype=np.uint8)
        yield np.unpackbits(packed, axis=1, count=n) * 2.0 - 1


def all_flips(n: int, samples: int) -> bool:
    """Say whether all 2^n flips are no more than the samples asked for."""
    return n < samples.bit_length()


def _blocks(n: int, samples: int) -> Iterator[range]:
    step = max(1, _BLOCK // n)
    return (range(start, min(start + step, samples)) for start in range(0, samples, step))


def _randomisation(differences: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return a p for each column of (Q, P) differences; all columns see the same flips."""
    n = len(differences)
    check_positive(queries=n, samples=samples)
    # A flip that gives the observed mean again must count, whatever the order of addition.
    slack = _ROUNDING * np.abs(differences).sum(axis=0)
    reach = np.abs(differences.sum(axis=0)) - slack
    hits = np.zeros(differences.shape[1])
    for signs in _flips(n, samples, seed):
        hits += np.sum(np.abs(signs @ differences) >= reach, axis=0)
    p: np.ndarray = hits / 2**n if all_flips(n, samples) else (hits + 1) / (samples + 1)
    return p


def _t_test(differences: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return a p for each column of (Q, P) differences; draws nothing."""
    del samples, seed
    from scipy.stats import ttest_1samp

    flat = np.array([alike(column) for column in differences.T])
    p = np.where((differences[0] == 0) | (len(differences) == 1), 1.0, 0.0)
    if not flat.all():
        p[~flat] = ttest_1samp(differences[:, ~flat], 0.0, axis=0).pvalue
    return p


TESTS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "randomisation": _randomisation,
    "t": _t_test,
}


def alike(differences: np.ndarray) -> bool:
    """Tell whether numbers differ by no more than rounding."""
    return bool(np.ptp(differences) <= _ROUNDING * np.abs(differences).max())
