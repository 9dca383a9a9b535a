"""Arguments of evaluations: the collection, and options of the computation and the encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from beir_hybrid.calibration import Calibration, as_calibration
from beir_hybrid.calibration.methods import CalibrationMethod
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadOption
from beir_hybrid.results.request import resolve_path


def check_collection(collection: object) -> Collection:
    """Return the collection, or raise `BadOption` that says how to make one of the argument."""
    if isinstance(collection, Collection):
        return collection
    cure = "load one with bh.load, or make one with bh.from_beir"
    if isinstance(collection, str):
        cure = f"bh.load({collection!r}) loads the dataset of that name"
    elif isinstance(collection, tuple):
        cure = "bh.from_beir(corpus, queries, qrels, languages) makes one of BEIR's dicts"
    raise BadOption(f"a collection is wanted, not a {type(collection).__name__}: {cure}")


@dataclass(frozen=True)
class ComputeOptions:
    """Where and how an evaluation computes.

    Attributes
    ----------
    store
        The folder for embeddings and scores of pairs; the cache where it is None.
    engine
        Where to compute: ``local``, or ``ray``.
    calibration
        What takes language bias out of vectors and scores; a method is fitted to the collection.
    calibration_name
        Its folder or method, if that is how it was given.
    encoder
        Options of the encoder, by name; see `EncoderOptions`.
    """

    store: Path | None = None
    engine: str = "local"
    calibration: Calibration | CalibrationMethod | None = None
    calibration_name: str | None = None
    encoder: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, options: Mapping[str, object]) -> Self:
        """Read keyword arguments; all but the three of this class are options of the encoder.

        None stands for the default.
        """
        encoder = dict(options)
        store, engine = encoder.pop("store", None), encoder.pop("engine", None)
        if store is not None and not isinstance(store, str | Path):
            raise BadOption(f"store is {store!r}; it must be a folder")
        calibration = encoder.pop("calibration", None)
        return cls(
            store=None if store is None else Path(store),
            engine="local" if engine is None else str(engine),
            calibration=as_calibration(calibration),
            calibration_name=(
                resolve_path(calibration) if isinstance(calibration, str | Path) else None
            ),
            encoder=encoder,
        )
