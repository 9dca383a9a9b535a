"""The files of a folder that may leave this machine, and a copy of a model that has only these."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from beir_hybrid.encoding.trained_models import RECORD
from beir_hybrid.publication.model_card import CARD, read_card
from beir_hybrid.publication.private_paths import hide_paths
from beir_hybrid.records import read_json
from beir_hybrid.report.plain_files import is_link

HIDDEN_FILES = (".*",)
# States, records and logs of a training, which name folders, the host and its place.
TRAINING_FILES = (
    *("checkpoint-*", "training_args.bin", "trainer_state.json", RECORD, "*.lock"),
    *("optimizer.*", "scheduler.*", "*.pt", "*.pth"),
    *("runs", "events.out.tfevents.*", "emissions.csv"),
)
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")


def list_public_files(folder: Path, private_files: Sequence[str]) -> list[Path]:
    """Return the files below a folder, in order, without links and private files.

    Parameters
    ----------
    private_files
        Patterns of names of files and folders.
    """
    files = []
    for path in sorted(folder.iterdir()):
        if any(path.match(pattern) for pattern in private_files) or is_link(path):
            continue
        if path.is_dir():
            files += list_public_files(path, private_files)
        elif path.is_file():
            files.append(path)
    return files


def copy_model(model: Path, folder: Path) -> int:
    """Copy the public files of a model except its card, and return how many there are.

    In configurations and in cards of its parts, placeholders stand for paths of this machine.
    """
    files = list_public_files(model, (*HIDDEN_FILES, *TRAINING_FILES))
    files = [path for path in files if path != model / CARD]
    for path in files:
        target = folder / path.relative_to(model)
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(path, target)
    return len(files)


def _copy_file(source: Path, target: Path) -> None:
    if source.name == CARD:
        target.write_text(str(read_card(source)), "utf-8")
        return
    if source.suffix == ".json" and source.name not in _VOCABULARIES:
        record = read_json(source)
        if (public_record := hide_paths(record)) != record:
            target.write_text(json.dumps(public_record, indent=2), "utf-8")
            return
    shutil.copyfile(source, target)
