"""Writes the runs of an evaluation, one file for each setting."""

from dataclasses import dataclass
from pathlib import Path

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import Setting
from beir_hybrid.files import explain_write_errors
from beir_hybrid.retrieval.runs import Run, name_checksum_file, write_run


@dataclass(frozen=True)
class RunWriter:
    """Writes runs into a folder, with the ids that the origin of the collection has."""

    folder: Path
    collection: Collection

    def clear(self) -> None:
        """Remove the runs of an earlier evaluation, and no other files."""
        with explain_write_errors(self.folder):
            for path in sorted(self.folder.glob("*-*.trec")):
                with path.open("rb") as file:
                    tag = file.readline().split()[-1:]
                if tag == [b"beir-hybrid"]:
                    path.unlink()
                    name_checksum_file(path).unlink(missing_ok=True)

    def write(self, setting: Setting, run: Run) -> None:
        """Write the run of a setting."""
        view = self.collection.view_setting(setting)
        write_run(self.folder / f"{setting.name}.trec", run, view=view)
