"""Find a model, in a folder or on the hub, and read its small files before it is loaded."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Self, TypeVar

from beir_hybrid.encoding.trained_models import verify_trained_model
from beir_hybrid.errors import (
    BadData,
    BadOption,
    BeirHybridError,
    NotReadable,
    UnknownName,
    find_reason,
)
from beir_hybrid.files import is_file
from beir_hybrid.hub import can_load_from_hub, find_cached_commit
from beir_hybrid.records import from_record, read_json

T = TypeVar("T")
# A folder of a model has one of them.
_MAIN_FILES = (
    "modules.json", "config.json", "config_sentence_transformers.json", "adapter_config.json"
)  # fmt: skip


def check_model_name(name: str) -> None:
    """Raise an error for a folder that is missing or holds no model; ask nobody about the hub."""
    folder = Path(name)
    if not folder.is_dir():
        if name.count("/") > 1 or name.startswith((".", "/", "~")):
            cure = _suggest_folder(name) or ", and a hub name has one slash"
            raise UnknownName(f"there is no folder {name!r}{cure}")
    elif not _holds_model(folder):
        raise BadData(f"the folder {name} holds no model: {_describe_files()}")


def _holds_model(folder: Path) -> bool:
    return any(is_file(folder / file) for file in _MAIN_FILES)


def _suggest_folder(name: str) -> str:
    """Return a question for a model's folder whose name is similar, or an empty text."""
    parent = Path(name).parent
    try:
        names = [folder.name for folder in parent.iterdir() if _holds_model(folder)]
    except (OSError, NotReadable):
        return ""
    similar = get_close_matches(Path(name).name, names, n=1, cutoff=0.75)
    return f"; did you mean the folder {str(parent / similar[0])!r}?" if similar else ""


def _describe_files() -> str:
    *names, last = _MAIN_FILES
    return f"no {', '.join(names)} or {last}"


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, in a folder or on the hub.

    Attributes
    ----------
    name
        The folder, or the name on the hub with its organisation.
    label
        The model as the user names it.
    is_reachable
        Whether the hub is asked for files; otherwise its cache alone is read.
    """

    name: str
    label: str
    revision: str | None = None
    is_on_hub: bool = False
    is_reachable: bool = False

    @classmethod
    def locate(cls, name: str, revision: str | None, organization: str) -> Self:
        """Find a model; raise an error if there is none.

        Parameters
        ----------
        organization
            On the hub, of models that are known by their last names alone.
        """
        if Path(name).is_dir():
            if revision is not None:
                raise BadOption(
                    f"revision is {revision!r}; it is of the hub, and {name} is a folder"
                )
            check_model_name(name)
            verify_trained_model(Path(name))
            return cls(name, name)
        check_model_name(name)
        full_name = name if "/" in name else f"{organization}/{name}"
        try:
            is_reachable = can_load_from_hub(full_name, revision)
        except BeirHybridError as error:
            raise type(error)(f"{error}{_suggest_folder(name)}") from error
        return cls(full_name, name, revision, is_on_hub=True, is_reachable=is_reachable)

    @property
    def commit(self) -> str:
        """The commit in the hub's cache; empty for a folder."""
        return find_cached_commit(self.name, self.revision) if self.is_on_hub else ""

    def read(self, file: str, record_type: type[T]) -> T | None:
        """Read a JSON file as a record; return None if the model has no such file."""
        from sentence_transformers.util import load_file_path

        try:
            path = load_file_path(
                self.name, file, revision=self.revision, local_files_only=not self.is_reachable
            )
        except Exception as error:  # the hub's client raises many kinds
            raise BadData(f"cannot read {file} of {self.name!r}: {find_reason(error)}") from error
        if path is None:
            return None
        place = f"{file} of {self.name}"
        return from_record(record_type, read_json(Path(path)), place)

    def check_main_files(self) -> None:
        """Raise `BadData` if the hub has the name, and no model there."""
        if all(self.read(file, object) is None for file in _MAIN_FILES):
            raise BadData(f"{self.name} is on the hub, and holds no model: {_describe_files()}")
