"""Writes the runs of an evaluation, one file for each setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import SETTING_KINDS, Setting
from beir_hybrid.files import explain_write_errors
from beir_hybrid.retrieval.runs import (
    TAG,
    Run,
    check_run_place,
    name_checksum_file,
    write_run,
)


@dataclass(frozen=True)
class RunWriter:
    """Writes the runs of settings into a folder, with the ids that the collection's origin has.

    Raises `BadOption` before all work if other files would have to be replaced.
    """

    folder: Path
    collection: Collection
    settings: Sequence[Setting]

    def __post_init__(self) -> None:
        for setting in self.settings:
            if SETTING_KINDS[setting.kind].is_rerankable:  # others have no runs
                check_run_place(self._name_file(setting))

    def clear(self) -> None:
        """Remove the runs of the collection's settings that are ours, and no other files."""
        with explain_write_errors(self.folder):
            for path in map(self._name_file, self.collection.list_settings()):
                if not path.is_file():
                    continue
                with path.open("rb") as file:
                    tag = file.readline().split()[-1:]
                if tag == [TAG.encode()]:
                    path.unlink()
                    name_checksum_file(path).unlink(missing_ok=True)

    def write(self, setting: Setting, run: Run) -> None:
        """Write the run of a setting."""
        view = self.collection.view_setting(setting)
        write_run(self._name_file(setting), run, view=view)

    def _name_file(self, setting: Setting) -> Path:
        return self.folder / f"{setting.name}.trec"
