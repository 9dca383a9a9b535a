"""Methods that take the language out of vectors, and how they are named with their options."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from beir_hybrid.calibration.correction import Correction
from beir_hybrid.calibration.statistics import LanguageVectors
from beir_hybrid.checks import check_fraction, check_positive
from beir_hybrid.errors import BadData, BadOption, lookup
from beir_hybrid.languages import match_code, normalise_variant
from beir_hybrid.retrieval.merging import MERGE_METHODS, MergeMethod, parse_merge_method
from beir_hybrid.text import parse_options

SIDES = ("both", "passages", "queries")


@dataclass(frozen=True)
class VectorMethod:
    """A method that corrects vectors by statistics of their languages.

    Attributes
    ----------
    fit
        Return the correction, with strength 1, from the vectors of one role and the options.
    fallback
        What happens to a vector of a language without statistics.
    options
        The options that are the method's own, with their defaults.
    alpha
        How much of the correction is applied: 0 is none, 1 all.
    on
        Which vectors are corrected: of ``passages``, ``queries`` or ``both``.
    """

    name: str
    sentence: str
    fit: Callable[[LanguageVectors, dict[str, Any]], Correction]
    fallback: str
    options: dict[str, Any] = field(default_factory=dict)
    alpha: float = 1.0
    on: str = "both"

    def __str__(self) -> str:
        row = VECTOR_METHODS[self.name]
        options = dict(self.options)
        if self.alpha != row.alpha:
            options["alpha"] = self.alpha
        if self.on != row.on:
            options["on"] = self.on
        text = ",".join(f"{name}={value}" for name, value in options.items())
        return f"{self.name}:{text}" if text else self.name

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose vectors are corrected."""
        return ("queries", "passages") if self.on == "both" else (self.on,)

    def fit_correction(self, vectors: LanguageVectors) -> Correction:
        """Return the correction of one role."""
        correction = self.fit(vectors, self.options)
        return replace(
            correction,
            offsets=(correction.offsets * self.alpha).astype(np.float32),
            directions=correction.directions.astype(np.float32),
            strength=self.alpha,
        )


def _build(
    vectors: LanguageVectors,
    offsets: np.ndarray | None = None,
    default: np.ndarray | None = None,
    directions: np.ndarray | None = None,
) -> Correction:
    """Return a correction, with zeros in place of missing parts."""
    n, dim = len(vectors.languages), vectors.vectors.dim
    offsets = np.zeros((n, dim)) if offsets is None else offsets
    default = np.zeros(dim) if default is None else default
    directions = np.zeros((n + 1, 0, dim)) if directions is None else directions
    return Correction(vectors.languages, np.vstack([offsets, default]), directions)


def _fit_centre(vectors: LanguageVectors, _options: dict[str, Any]) -> Correction:
    """Move the mean of every language to zero."""
    return _build(vectors, vectors.means, vectors.means.mean(axis=0))


def _fit_mean_language(vectors: LanguageVectors, _options: dict[str, Any]) -> Correction:
    """Move the mean of every language to the mean of all languages."""
    return _build(vectors, vectors.means - vectors.means.mean(axis=0))


def _fit_shift(vectors: LanguageVectors, options: dict[str, Any]) -> Correction:
    """Move every language to one language, by the mean difference of translations."""
    target = match_code(options["to"], vectors.languages)
    if target is None:
        raise BadOption(
            f"shift:to={options['to']}: there are no texts in {options['to']}, only in "
            f"{', '.join(vectors.languages)}"
        )
    shifts = []
    for language in vectors.languages:
        shift, count = vectors.find_pair_shift(language, target)
        if not count:
            raise BadData(
                f"no text in {language} has a translation in {target}: shift needs parallel texts"
            )
        shifts.append(shift)
    return _build(vectors, np.stack(shifts))


def _fit_lir(vectors: LanguageVectors, options: dict[str, Any]) -> Correction:
    """Take out the first principal directions of each language's vectors, which are not centred."""
    k = options["k"]
    if k >= vectors.vectors.dim:
        raise BadOption(f"lir:k={k} leaves nothing of vectors of {vectors.vectors.dim} dimensions")
    directions = [
        np.linalg.eigh(vectors.moments(language))[1][:, ::-1][:, :k].T
        for language in vectors.languages
    ]
    no_directions = np.zeros((k, vectors.vectors.dim))
    return _build(vectors, directions=np.stack([*directions, no_directions]))


def _fit_subspace(vectors: LanguageVectors, options: dict[str, Any]) -> Correction:
    """Take out the directions in which the means of languages differ."""
    centred = vectors.means - vectors.means.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    rank = int((lengths > lengths.max(initial=0) * 1e-9).sum())
    shared = directions[: min(options["r"], rank)]
    return _build(vectors, directions=np.stack([shared] * (len(vectors.languages) + 1)))


_UNCHANGED = "stays as it is"
VECTOR_METHODS: dict[str, VectorMethod] = {
    method.name: method
    for method in (
        VectorMethod(
            "centre", "the mean of every language is moved to zero", _fit_centre,
            "loses the mean of all languages",
        ),
        VectorMethod(
            "mean-language", "the mean of every language is moved to the mean of all",
            _fit_mean_language, _UNCHANGED,
        ),
        VectorMethod(
            "shift", "passages are moved to one language by the mean difference of translations",
            _fit_shift, _UNCHANGED, {"to": "en"}, on="passages",
        ),
        VectorMethod(
            "lir", "the first k principal directions of every language are taken out", _fit_lir,
            _UNCHANGED, {"k": 1},
        ),
        VectorMethod(
            "subspace", "the first r directions in which languages differ are taken out",
            _fit_subspace, "loses the same directions", {"r": 10},
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class CalibrationMethod:
    """A method for vectors, a method that merges languages by scores, or one after the other."""

    vectors: VectorMethod | None = None
    merge: MergeMethod | None = None

    def __str__(self) -> str:
        return "+".join(str(method) for method in (self.vectors, self.merge) if method)


def parse_method(text: "str | CalibrationMethod") -> CalibrationMethod:
    """Return a calibration method by name, with options behind a colon.

    A method for vectors and one for scores are joined by a plus sign.

    Examples
    --------
    >>> method = parse_method("mean-language:alpha=0.8+local:k=3")
    >>> method.vectors.alpha, method.merge.k, str(method)
    (0.8, 3, 'mean-language:alpha=0.8+local:k=3')
    >>> str(parse_method("shift:to=deu,on=both"))
    'shift:to=de,on=both'
    """
    if isinstance(text, CalibrationMethod):
        return text
    vectors: VectorMethod | None = None
    merge: MergeMethod | None = None
    for part in str(text).split("+"):
        name = part.partition(":")[0].strip()
        if name in MERGE_METHODS:
            if merge:
                raise BadOption(f"{text}: {merge.name} and {name} both merge languages; take one")
            merge = parse_merge_method(part.strip())
        else:
            lookup("calibration method", name, dict.fromkeys([*VECTOR_METHODS, *MERGE_METHODS]))
            if vectors:
                raise BadOption(f"{text}: {vectors.name} and {name} both change vectors; take one")
            vectors = _parse_vector_method(name, part)
    return CalibrationMethod(vectors, merge)


def _parse_vector_method(name: str, text: str) -> VectorMethod:
    row = VECTOR_METHODS[name]
    options = parse_options(text.partition(":")[2], text)
    own_options = dict(row.options)
    alpha, on = options.pop("alpha", row.alpha), options.pop("on", row.on)
    for option, value in options.items():
        if option not in own_options:
            names = ", ".join([*own_options, "alpha", "on"])
            raise BadOption(f"{name} has no option {option!r}; there are {names}")
        own_options[option] = normalise_variant(str(value)) if option == "to" else value
    check_fraction(alpha=alpha)
    lookup("side to correct", str(on), dict.fromkeys(SIDES))
    check_positive(**{key: value for key, value in own_options.items() if key in ("k", "r")})
    return replace(row, options=own_options, alpha=float(alpha), on=str(on))
