"""Look for the collection that results are on among the data of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.results.provenance import describe_collection
from beir_hybrid.results.request import DatasetRequest
from beir_hybrid.results.results import Results
from beir_hybrid.sources import find_dataset, load_recorded
from beir_hybrid.sources.options import can_be_path

_PASSAGES = 2_000_000  # at most: larger collections take too long to load for a page


def find_local_collection(results: Results, *, local_files: bool = False) -> Collection | None:
    """Return the collection of results; None if this machine lacks it or has another version.

    Parameters
    ----------
    local_files
        Whether to read files that the results name, such as that of ``jsonl``. Strangers' results
        may name any file of this machine, so these are for one's own results.
    """
    request, recorded = results.timing.request, results.provenance.collection
    dataset = None if request is None else request.dataset
    if dataset is None or recorded.passages > _PASSAGES:
        return None
    try:
        if not local_files and _names_files(dataset):
            return None
        with _offline():
            collection = load_recorded(dataset.name, dataset.languages, dataset.options)
        present = describe_collection(collection)
    except (BeirHybridError, OSError, KeyError, TypeError, ValueError):
        return None
    names = ("name", "languages", "queries", "passages", "origins")
    is_equal = all(getattr(present, name) == getattr(recorded, name) for name in names)
    return collection if is_equal else None


def _names_files(request: DatasetRequest) -> bool:
    """Return whether an option of a dataset may name a file of this machine."""
    options = find_dataset(request.name).options
    return any(
        name in options and can_be_path(options[name].annotation) for name in request.options
    )


@contextmanager
def _offline() -> Iterator[None]:
    """Forbid downloads of datasets: a page is not worth one."""
    value = os.environ.get("BEIR_HYBRID_OFFLINE")
    os.environ["BEIR_HYBRID_OFFLINE"] = "1"
    try:
        yield
    finally:
        if value is None:
            del os.environ["BEIR_HYBRID_OFFLINE"]
        else:
            os.environ["BEIR_HYBRID_OFFLINE"] = value
