"""Read training groups from JSONL, Parquet, parallel text files and the hub."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid.collection.lines import read_json_lines, read_lines
from beir_hybrid.errors import BadData
from beir_hybrid.files import explain_read_errors
from beir_hybrid.hub import restrict_datasets
from beir_hybrid.pairs.images import check_row_images

if TYPE_CHECKING:
    from datasets import Dataset

_PARQUET_ROWS = 1 << 15  # rows that are read at once


def read_jsonl_groups(path: Path) -> Iterator[object]:
    """Yield the groups of a JSONL file, a line each."""
    yield from check_row_images(read_json_lines(path), path, "line")


def read_parquet_groups(path: Path) -> Iterator[object]:
    """Yield the groups of a Parquet file, a row each."""
    import pyarrow.parquet as pq

    def read_rows() -> Iterator[object]:
        with explain_read_errors(path, "is no Parquet file"):
            for batch in pq.ParquetFile(path).iter_batches(_PARQUET_ROWS):
                yield from batch.to_pylist()

    yield from check_row_images(enumerate(read_rows(), start=1), path, "row")


def read_bitext_groups(paths: Mapping[str, Path]) -> Iterator[object]:
    """Yield a group for each line of files, by language, that have as many lines each."""
    lines_by_file: Iterable[tuple[tuple[int, bytes] | None, ...]]
    lines_by_file = zip_longest(*(read_lines(path) for path in paths.values()))
    for number, lines in enumerate(lines_by_file, start=1):
        texts: dict[str, str] = {}
        for (lang, path), line in zip(paths.items(), lines, strict=True):
            if line is None:
                raise BadData(
                    f"parallel files have as many lines each: {path} ends after line {number - 1}, "
                    "another goes on"
                )
            try:
                texts[lang] = line[1].decode("utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise BadData(f"{path} line {number} is not UTF-8: {error}") from error
        yield {"query": texts, "positive": texts}


def load_hub_groups(name: str, split: str, revision: str | None) -> "Dataset":
    """Return a dataset of the hub, or of a folder that `datasets` reads."""
    from datasets import load_dataset

    try:
        with restrict_datasets():
            return load_dataset(name, split=split, revision=revision)
    except Exception as error:  # its readers of formats raise anything
        reason = f"{str(error) or repr(error):.300}"
        raise BadData(f"{name!r:.80} is no file, folder or dataset to be had: {reason}") from error
