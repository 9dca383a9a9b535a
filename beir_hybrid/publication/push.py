"""Write a model's card, a dataset of results or files for mteb, and upload them on request."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import atomic_folder
from beir_hybrid.hub import upload_folder
from beir_hybrid.publication.model_card import CARD, build_card
from beir_hybrid.publication.mteb_folder import write_mteb_folder
from beir_hybrid.publication.results_dataset import write_results_dataset
from beir_hybrid.records import read_json
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.entry_files import ResultsOrPath, read_entries
from beir_hybrid.report.plain_files import is_link, is_plain_file
from beir_hybrid.results.local_paths import find_local_paths, hide_local_paths
from beir_hybrid.results.results import Results

# States of a training, which nobody loads and which name folders of this machine; hidden files.
_PRIVATE_FILES = (
    *("checkpoint-*", "training_args.bin", "trainer_state.json"),
    *("optimizer.*", "scheduler.*", "*.pt", "*.pth", ".*", "*.lock"),
)


class Publication(NamedTuple):
    """A kind of publication: its kind of repository on the hub, and its writer."""

    repository_type: str
    write: Callable[[Sequence[Entry], Path, Path | None], None]


def push(
    kind: str,
    results: ResultsOrPath | Iterable[ResultsOrPath],
    output: str | Path,
    *,
    model: str | Path | None = None,
    repository: str | None = None,
    upload: bool = False,
) -> list[Path]:
    """Write the files of a publication, and return their paths; upload them only if asked.

    Parameters
    ----------
    kind
        ``model``: a card with scores; ``results``: a dataset; ``mteb``: files for a repository of
        mteb's results.
    results
        Folders of `Results.save`, folders of such folders, or results. Without any, an earlier
        output is uploaded as it stands.
    output
        The folder to write, which must not exist yet.
    model
        For ``model``: a folder with the model, which is copied beside the card.
    repository
        The name on the hub, such as ``me/model``; a new one is private.
    upload
        Whether to upload the folder.
    """
    publication, folder = lookup("publication", kind, PUBLICATIONS), Path(output)
    if upload and not repository:
        raise BadOption("an upload needs the name of a repository, such as me/model")
    if model is not None and kind != "model":
        raise BadOption(f"a model's folder goes with its card, not with {kind}")
    sources = [results] if isinstance(results, str | Path | Results) else list(results)
    if sources:
        _write(publication, sources, folder, None if model is None else Path(model))
    elif not upload:
        raise BadOption("no results are named")
    elif not folder.is_dir():
        raise BadOption(f"there is no folder {folder} to upload; name results to write one")
    if upload and repository:
        upload_folder(folder, repository, publication.repository_type, _PRIVATE_FILES)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write(
    publication: Publication,
    sources: Sequence[ResultsOrPath],
    folder: Path,
    model: Path | None,
) -> None:
    if folder.exists():
        raise BadOption(
            f"{folder} exists; name another folder, or leave out the results to upload this one "
            "as it stands"
        )
    if model is not None and not model.is_dir():
        raise BadOption(f"there is no folder {model} with a model")
    entries = [entry for entry in read_entries(sources) if entry.results is not None]
    if not entries:
        raise BadOption("only results of `beir-hybrid evaluate --output` can be published")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as temporary:
        publication.write(entries, temporary, model)


def _write_model(entries: Sequence[Entry], folder: Path, model: Path | None) -> None:
    """Write a model's card, and beside it the files of the model."""
    card = build_card([entry.results for entry in entries if entry.results], model)
    if model is not None and not _copy_model(model, folder):
        raise BadOption(
            f"{model} holds no files of a model but links, such as those of the hub's cache; "
            "copy what they point at: cp -rL"
        )
    (folder / CARD).write_text(str(card), "utf-8")


def _copy_model(source: Path, folder: Path) -> int:
    """Copy a model's files without links and private files, and return how many there are.

    In its configuration, placeholders stand for paths of this machine.
    """
    count = 0
    for path in sorted(source.iterdir()):
        if any(path.match(pattern) for pattern in _PRIVATE_FILES):
            continue
        if path.is_dir() and not is_link(path):
            (folder / path.name).mkdir()
            count += _copy_model(path, folder / path.name)
        elif is_plain_file(path):
            _copy_file(path, folder / path.name)
            count += path.name != CARD
    return count


def _copy_file(source: Path, target: Path) -> None:
    record = read_json(source) if source.name.endswith("config.json") else None
    if record is not None and find_local_paths(record):
        target.write_text(json.dumps(hide_local_paths(record), indent=2), "utf-8")
    else:
        shutil.copyfile(source, target)


PUBLICATIONS = {
    "model": Publication("model", _write_model),
    "results": Publication("dataset", lambda entries, to, _: write_results_dataset(entries, to)),
    "mteb": Publication("dataset", lambda entries, to, _: write_mteb_folder(entries, to)),
}
