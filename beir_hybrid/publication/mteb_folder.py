"""Results as files of a repository of mteb's results: a folder a model, a file a task."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

from beir_hybrid.errors import BadData
from beir_hybrid.report.entries import Entry
from beir_hybrid.results.mteb import list_mteb_scores, write_mteb
from beir_hybrid.results.results import Results

_NO_REVISION = "no_revision_available"  # as mteb writes it
# What mteb's description of a model has, and results do not say.
_UNKNOWN = (
    "release_date", "languages", "memory_usage_mb", "embed_dim", "license", "open_weights",
    "public_training_code", "public_training_data", "similarity_fn_name", "use_instructions",
    "training_datasets", "loader",
)  # fmt: skip


def write_mteb_folder(entries: Sequence[Entry], folder: Path) -> None:
    """Write ``results/MODEL/REVISION/TASK.json`` with a description of the model beside it.

    A task is a collection, since mteb has none with pools and measures of bias; its figures are
    comparable with those of the same collection alone.
    """
    for entry in entries:
        if entry.results is None:
            continue
        model = entry.results.provenance.model
        place = folder / "results" / _name_model(entry.name) / _name_file(model.revision)
        path = place / f"{_name_file(entry.benchmark.name)}.json"
        if path.exists():
            raise BadData(
                f"two results of {entry.name} on {entry.benchmark.name} would be one file of "
                "mteb's; name one of them"
            )
        place.mkdir(parents=True, exist_ok=True)
        _write_scores(entry.results, path)
        (place / "model_meta.json").write_text(_describe_model(entry), "utf-8")


def _write_scores(results: Results, path: Path) -> None:
    names = [str(measure) for measure in results.measures]
    main = "nDCG@10" if "nDCG@10" in names else names[0]
    scores = [score for score in list_mteb_scores(results) if not math.isnan(score.value)]
    write_mteb(path, scores, main=main)


def _describe_model(entry: Entry) -> str:
    """Describe the model of results with the keys of mteb's `ModelMeta`."""
    results = entry.results
    if results is None:
        raise BadData(f"{entry.name} has no results")
    model = results.provenance.model
    length = model.fingerprint.get("max_length")
    record = dict.fromkeys(_UNKNOWN) | {
        "name": _name_model(entry.name).replace("__", "/", 1),
        "revision": model.revision or _NO_REVISION,
        "n_parameters": entry.parameters,
        "max_tokens": length if isinstance(length, int) else None,
        "framework": [],
        "experiment_kwargs": None,
    }
    return json.dumps(record, indent=2) + "\n"


def _name_model(name: str) -> str:
    """Return the folder of a model: organisation and name, joined by two underscores.

    >>> _name_model("intfloat/multilingual-e5-small"), _name_model("../my model")
    ('intfloat__multilingual-e5-small', 'my-model')
    """
    parts = [part for part in map(_clean, name.split("/")[-2:]) if part]
    return "__".join(parts) or "model"


def _name_file(name: str) -> str:
    return _clean(name) or _NO_REVISION


def _clean(text: str) -> str:
    """Return a text whose signs are safe in the name of a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")
