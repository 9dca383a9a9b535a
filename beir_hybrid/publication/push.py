"""Write a model's card, a dataset of results or files for mteb, and upload them on request."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.files import atomic_folder
from beir_hybrid.hub import upload_files
from beir_hybrid.publication.model_card import CARD, build_card
from beir_hybrid.publication.model_files import (
    HIDDEN_FILES,
    TRAINING_FILES,
    copy_model,
    list_public_files,
)
from beir_hybrid.publication.mteb_folder import write_mteb_folder
from beir_hybrid.publication.results_dataset import write_results_dataset
from beir_hybrid.report.entries import Entry
from beir_hybrid.report.entry_files import ResultsOrPath, read_entries
from beir_hybrid.results.results import Results


class Publication(NamedTuple):
    """A kind of publication: its kind of repository on the hub, and its writer.

    Files of some names are private: they stay here.
    """

    repository_type: str
    write: Callable[[Sequence[Entry], Path, Path | None], None]
    private_files: tuple[str, ...] = HIDDEN_FILES


def push(
    kind: str,
    results: ResultsOrPath | Iterable[ResultsOrPath],
    output: str | Path,
    *,
    model: str | Path | None = None,
    repository: str | None = None,
    upload: bool = False,
) -> list[Path]:
    """Write the files of a publication, and return their paths; upload these only if asked.

    Links and hidden files are neither returned nor uploaded, nor are the states of a training
    beside a model.

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
    if model is not None and not sources:
        raise BadOption("a model's folder goes with its scores; name results, too")
    if sources:
        _write(publication, sources, folder, None if model is None else Path(model))
    elif not upload:
        raise BadOption("no results are named")
    elif not folder.is_dir():
        raise BadOption(f"there is no folder {folder} to upload; name results to write one")
    files = list_public_files(folder, publication.private_files)
    if upload and repository:
        if not files:
            raise BadOption(f"{folder} has no files to upload; links and private files stay here")
        upload_files(files, folder, repository, publication.repository_type)
    return files


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
    if model is not None and not copy_model(model, folder):
        raise BadOption(
            f"{model} holds no files of a model but links, such as those of the hub's cache; "
            "copy what they point at: cp -rL"
        )
    (folder / CARD).write_text(str(card), "utf-8")


PUBLICATIONS = {
    "model": Publication("model", _write_model, (*HIDDEN_FILES, *TRAINING_FILES)),
    "results": Publication("dataset", lambda entries, to, _: write_results_dataset(entries, to)),
    "mteb": Publication("dataset", lambda entries, to, _: write_mteb_folder(entries, to)),
}
