"""Results as files of a repository of mteb's results: a folder a model, a file a task."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

from beir_hybrid.errors import BadData
from beir_hybrid.report.entries import Entry
from beir_hybrid.results.mteb import Score, list_mteb_scores, write_mteb
from beir_hybrid.results.results import Results

# Bytes of a part of a path: file systems take 255, and names of models have two parts.
_LONGEST = 120
_NO_REVISION = "no_revision_available"  # as mteb writes it
# What mteb's description of a model has, and results do not say.
_UNKNOWN = (
    "release_date", "languages", "memory_usage_mb", "embed_dim", "open_weights",
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
        parts = _split_name(entry.name)
        revision = _shorten(_clean(model.revision)) or _NO_REVISION
        place = folder / "results" / "__".join(map(_shorten, parts)) / revision
        path = place / f"{_shorten(_clean(entry.benchmark.name)) or 'collection'}.json"
        if path.exists():
            raise BadData(
                f"two results of {entry.name} on {entry.benchmark.name} would be one file of "
                "mteb's; name one of them"
            )
        place.mkdir(parents=True, exist_ok=True)
        _write_scores(entry.results, path)
        description = _describe_model("/".join(parts), entry.results)
        (place / "model_meta.json").write_text(description, "utf-8")


def _write_scores(results: Results, path: Path) -> None:
    scores = [score for score in list_mteb_scores(results) if not math.isnan(score.value)]
    write_mteb(path, scores, main=_choose_main(scores))


def _choose_main(scores: Sequence[Score]) -> str:
    """Return nDCG@10, or else the first measure that has a value in every subset."""
    subsets: dict[str, set[str]] = {}
    for score in scores:
        subsets.setdefault(score.measure, set()).add(score.subset)
    names = [name for name in subsets if subsets[name] == set().union(*subsets.values())]
    if not names:
        raise BadData("mteb's files have a main score, and no measure has a value in all settings")
    return "nDCG@10" if "nDCG@10" in names else names[0]


def _describe_model(name: str, results: Results) -> str:
    """Describe the model of results with the keys of mteb's `ModelMeta`."""
    model = results.provenance.model
    length = model.fingerprint.get("max_length")
    record = dict.fromkeys(_UNKNOWN) | {
        "name": name,
        "revision": model.revision or _NO_REVISION,
        "n_parameters": model.parameters,
        "license": model.licence or None,
        "max_tokens": length if isinstance(length, int) else None,
        "framework": [],
        "experiment_kwargs": None,
    }
    return json.dumps(record, indent=2) + "\n"


def _split_name(name: str) -> list[str]:
    """Return organisation, if there is one, and name of a model.

    >>> _split_name("intfloat/multilingual-e5-small"), _split_name("../my model")
    (['intfloat', 'multilingual-e5-small'], ['my-model'])
    """
    return [part for part in map(_clean, name.split("/")[-2:]) if part] or ["model"]


def _clean(text: str) -> str:
    """Return a text whose signs are safe in the name of a file; letters of all scripts are.

    >>> _clean("<首都>")
    '首都'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip(".-_")


def _shorten(text: str) -> str:
    """Return a text that file systems take as a name; what is cut off goes into a checksum.

    >>> _shorten("e5"), len(_shorten("首" * 90).encode())
    ('e5', 120)
    """
    raw = text.encode()
    if len(raw) <= _LONGEST:
        return text
    checksum = "-" + hashlib.sha256(raw).hexdigest()[:8]
    return raw[: _LONGEST - len(checksum)].decode(errors="ignore") + checksum
