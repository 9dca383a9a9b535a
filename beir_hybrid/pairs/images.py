"""Images in training groups: their checksums and paths, checked when groups are read."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.errors import BadData

# The column of paths, beside that of checksums, which is `positive.image`.
IMAGE_PATH = f"path.{IMAGE}"


class GroupImage(NamedTuple):
    """An image of a group.

    Attributes
    ----------
    text
        The checksum of its content, so that equal files under other names have equal texts.
    path
        The absolute path.
    oddities
        What was converted to show it, as colours or frames.
    """

    text: str
    path: str
    oddities: tuple[str, ...] = ()


def check_group_image(value: object, folder: Path | None, location: str) -> GroupImage | None:
    """Return a group's image by its path, which may be relative to a folder; raise `BadData`."""
    from beir_hybrid.images import inspect_image

    if value is None or isinstance(value, GroupImage):
        return value
    if not isinstance(value, str | Path) or not str(value).strip():
        raise BadData(f"{location}: image is {value!r:.40}; it must be the path of an image")
    path = (folder or Path()).joinpath(value).absolute()
    try:
        facts = inspect_image(path)
    except BadData as error:
        raise BadData(f"{location}: {error}") from error
    return GroupImage(f"sha256:{facts.sha256}", str(path), facts.oddities)


def check_row_images(rows: Iterable[tuple[int, object]], file: Path, unit: str) -> Iterator[object]:
    """Yield numbered rows of a file with their images checked; errors name the row's number."""
    for number, row in rows:
        if isinstance(row, Mapping) and row.get("image") is not None:
            location = f"{file} {unit} {number}"
            yield {**row, "image": check_group_image(row["image"], file.parent, location)}
        else:
            yield row


def fingerprint_images(tables: Iterable[pa.Table], folder: Path | None) -> str:
    """Return a checksum of the paths, sizes and times of all images; empty if there are none.

    Parameters
    ----------
    folder
        The folder that paths of images were relative to.
    """
    checksum = hashlib.sha256(str(folder and folder.absolute()).encode())
    has_images = False
    for table in tables:
        for path in table[IMAGE_PATH].to_pylist() if IMAGE_PATH in table.column_names else ():
            if path is not None:
                stat = Path(path).stat()  # raises where it is gone
                checksum.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
                has_images = True
    return checksum.hexdigest() if has_images else ""
