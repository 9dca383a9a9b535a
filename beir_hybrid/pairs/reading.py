"""Groups of texts from files, collections and lists in, `ParallelPairs` out."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, to_arrow
from beir_hybrid.collection.lines import read_json_lines, read_lines
from beir_hybrid.collection.setting import language_sort_key
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_folder, cache_folder, file_lock, sha256
from beir_hybrid.pairs.checks import ROWS, Checks, Group, tables
from beir_hybrid.pairs.columns import widened
from beir_hybrid.pairs.images import groups_of_pictures, stamp, with_pictures
from beir_hybrid.pairs.labels import numbers_of
from beir_hybrid.pairs.parallel_pairs import ParallelPairs

_FOUND = "found.json"  # beside cached tables: their sizes, and what was left out


def pairs_from_groups(
    groups: Iterable[Group],
    *,
    negatives: int = 0,
    language: str | None = None,
    languages: Iterable[str] | None = None,
    name: str = "pairs",
) -> ParallelPairs:
    """Return pairs of groups in memory.

    Parameters
    ----------
    groups
        ``{"id": ..., "query": {lang: text}, "positive": {lang: text}, "negative": {lang: [text]}}``
        each; ``id`` and ``negative`` may be left out, and not every text is in every language.
        ``"image": path`` beside or instead of ``positive`` is a picture that answers the query.
    negatives
        How many hard negatives a row has; every group must have one at least.
    language
        The language of plain texts, where ``query`` and ``positive`` are no mappings.
    languages
        The only ones to keep, if not all; groups with no question or no passage in them are left
        out.

    Examples
    --------
    >>> group = {"query": {"de": "Wo?", "en": "Where?"}, "positive": {"de": "Hier.", "en": "Here."}}
    >>> pairs = pairs_from_groups([group])
    >>> pairs
    ParallelPairs(1 groups in de, en; columns anchor, positive, label)
    >>> pairs[0]["anchor"], pairs[0]["positive"]
    ('Wo?', 'Hier.')
    """
    return _checked(groups, Checks(name, negatives, language, languages))


def read_pairs(
    path: str | Path,
    *,
    negatives: int = 0,
    language: str | None = None,
    languages: Iterable[str] | None = None,
    name: str = "",
    split: str = "train",
    revision: str | None = None,
) -> ParallelPairs:
    """Return pairs of a file or a dataset of the hub, a group a row; see `pairs_from_groups`.

    What is read is converted once; its texts stay on disk.

    Parameters
    ----------
    path
        A JSONL or Parquet file, to which paths of pictures are relative; or else what
        ``datasets.load_dataset`` reads, a name on the hub or a folder.
    negatives, language, languages
        As `pairs_from_groups` has them.
    split, revision
        Of a dataset.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "pairs.jsonl"
    >>> _ = path.write_text('{"id": "1", "query": {"de": "Wo?"}, "positive": {"en": "Here."}}')
    >>> read_pairs(path)
    ParallelPairs(1 groups in de, en; columns anchor, positive, label)
    """
    file = Path(path)
    kinds = {".jsonl": _from_json, ".gz": _from_json, ".parquet": _from_parquet}
    name = name or file.name.split(".")[0]
    groups: Iterable[Group]
    if file.suffix in kinds:
        if not file.is_file():
            raise BadData(f"there is no file {path}")
        groups, identity = kinds[file.suffix](file), sha256(file)
    elif file.is_file():
        raise BadOption(f"{path} must end in .jsonl, .jsonl.gz or .parquet")
    else:
        dataset = _from_hub(str(path), split, revision)
        groups, identity = dataset, dataset._fingerprint  # noqa: SLF001 - it has no public name
    checks = Checks(name, negatives, language, languages)
    recipe = f"3 {identity} {negatives} {language} {sorted(checks.languages or ())}"
    return _pairs(_cached(_folder(recipe), groups, checks, file.parent), negatives, name)


def pairs_from_collection(
    collection: Collection, *, queries: Iterable[str] | None = None
) -> ParallelPairs:
    """Return the questions of a collection with their relevant passages.

    A question with several relevant passages in a language makes as many groups, each with one of
    them; the others count as its passages all the same, and never as negatives.

    Of a collection with pictures a group is a picture and a number of its captions: the passages
    are the picture and other captions of it. A caption is never its own passage.

    Parameters
    ----------
    queries
        The groups of questions to take (the column ``group`` of ``collection.queries``), of
        pictures their keys; all by default.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> pairs_from_collection(bh.load("mlqa-r", languages=["de", "en", "es"]))  # doctest: +SKIP
    ParallelPairs(1,148 groups in de, en, es; columns anchor, positive, label)
    """
    wanted = None if queries is None else set(queries)
    made = groups_of_pictures if collection.has_images else _groups_of
    groups, others = made(collection, wanted)
    if not groups:
        raise BadData(f"{collection.name} has none of the questions that are asked for")
    checks = Checks(collection.name)
    found = list(tables(groups, checks))
    checks.report()
    width = max(map(len, others))
    further = None
    if width:
        columns = [[some[i] if i < len(some) else None for some in others] for i in range(width)]
        further = np.stack(
            [numbers_of(pa.chunked_array([pa.array(c, pa.string())])) for c in columns], axis=1
        )
    return _pairs(found, 0, collection.name, further)


def _groups_of(
    collection: Collection, wanted: set[str] | None
) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Return a group for each question and number of a passage, and what else answers each."""
    table = collection.queries.select(["group", "lang", "text"]).to_pylist()
    asked: dict[str, dict[str, str]] = {}
    for row in table:
        asked.setdefault(row["group"], {})[row["lang"]] = row["text"]
    query, passage, relevance = collection.view().judgements
    golds: dict[str, dict[str, dict[int, None]]] = {}
    langs = {lang: collection.find_passage_rows(lang) for lang in collection.languages}
    for q, p in zip(query[relevance > 0].tolist(), passage[relevance > 0].tolist(), strict=True):
        lang = next(lang for lang, rows in langs.items() if p in rows)
        golds.setdefault(table[q]["group"], {}).setdefault(lang, {})[p] = None
    rows = np.unique(np.array([p for g in golds.values() for s in g.values() for p in s], np.int64))
    documents = collection.view().passages.take(to_arrow(rows))
    texts = dict(zip(rows.tolist(), join_titles(documents).to_pylist(), strict=True))

    groups: list[dict[str, Any]] = []
    others: list[list[str]] = []
    for group, by_lang in golds.items():
        if wanted is not None and group not in wanted:
            continue
        lists = {lang: [texts[p] for p in found] for lang, found in by_lang.items()}
        for turn in range(max(map(len, lists.values()))):
            mine = {lang: found[turn] for lang, found in lists.items() if turn < len(found)}
            groups.append({"id": f"{group}#{turn}", "query": asked[group], "positive": mine})
            every = {text for found in lists.values() for text in found}
            others.append(sorted(every.difference(mine.values())))
    return groups, others


def pairs_from_bitext(
    texts: Mapping[str, Sequence[str | None]], name: str = "bitext"
) -> ParallelPairs:
    """Return pairs of parallel lines: a line in one language answers the same line in another.

    Only cross-lingual pairs make sense of them: the monolingual ones are of a text with itself.

    Examples
    --------
    >>> pairs_from_bitext({"de": ["Hallo", "Danke"], "en": ["Hello", "Thanks"]})
    ParallelPairs(2 groups in de, en; columns anchor, positive, label)
    """
    lengths = {lang: len(lines) for lang, lines in texts.items()}
    if len(set(lengths.values())) != 1:
        raise BadData(f"{name}: parallel texts have as many lines each, these have {lengths}")
    groups = (
        {"query": (line := {lang: lines[i] for lang, lines in texts.items()}), "positive": line}
        for i in range(next(iter(lengths.values())))
    )
    return _checked(groups, Checks(name, partial=True))


def read_bitext(
    files: Mapping[str, str | Path], *, languages: Iterable[str] | None = None, name: str = ""
) -> ParallelPairs:
    """Return pairs of files of parallel lines, by language, as `pairs_from_bitext` does of texts.

    What is read is converted once; its texts stay on disk.
    """
    paths = {lang: Path(file) for lang, file in files.items()}
    for path in paths.values():
        if not path.is_file():
            raise BadData(f"there is no file {path}")
    name = name or next(iter(paths.values())).name.split(".")[0]
    checks = Checks(name, languages=languages, partial=True)
    hashes = sorted((lang, sha256(path)) for lang, path in paths.items())
    recipe = f"bitext 2 {hashes} {sorted(checks.languages or ())}"
    return _pairs(_cached(_folder(recipe), _from_lines(paths), checks), 0, name)


def _checked(groups: Iterable[Group], checks: Checks) -> ParallelPairs:
    found = list(tables(groups, checks))
    checks.report()
    return _pairs(found, checks.negatives, checks.name)


def _folder(recipe: str) -> Path:
    return cache_folder() / "pairs" / hashlib.sha256(recipe.encode()).hexdigest()[:16]


def _cached(
    folder: Path, groups: Iterable[Group], checks: Checks, beside: Path | None = None
) -> list[pa.Table]:
    """Return the tables of a folder of the cache, written anew if they are not whole.

    They are not if pictures have changed that they name, or lie `beside` another file.
    """
    with file_lock(folder.with_name(f"{folder.name}.building")):  # `replacing_folder` locks it, too
        if (found := _whole(folder, beside)) is None:
            shutil.rmtree(folder, ignore_errors=True)
            with atomic_folder(folder) as building:
                for number, table in enumerate(tables(groups, checks)):
                    _write(building / f"{number:05}.arrow", table)
                sizes = {path.name: path.stat().st_size for path in building.iterdir()}
                seen = stamp(map(_mapped, sorted(building.iterdir())), beside)
                found = {"sizes": sizes, "counts": checks.counts, "first": checks.first}
                found["pictures"] = seen
                (building / _FOUND).write_text(json.dumps(found), "utf-8")
    checks.counts, checks.first = found["counts"], found["first"]
    checks.report()
    return [_mapped(folder / name) for name in sorted(found["sizes"])]


def _whole(folder: Path, beside: Path | None) -> dict[str, Any] | None:
    """Return what was noted of a folder's tables, if they and their pictures are all there."""
    try:
        found: dict[str, Any] = json.loads((folder / _FOUND).read_text("utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in found["sizes"]}
        if sizes != found["sizes"]:
            return None
        pictured = found["pictures"]
        same = not pictured or pictured == stamp(map(_mapped, map(folder.joinpath, sorted(sizes))),
                                                 beside)  # fmt: skip
    except (OSError, ValueError):
        return None
    return found if same else None


def _pairs(
    parts: Sequence[pa.Table], negatives: int, name: str, further: np.ndarray | None = None
) -> ParallelPairs:
    if not parts:
        raise BadData(f"{name} has no groups")
    names = {column for table in parts for column in table.schema.names}
    langs = sorted({column.partition(".")[2] for column in names} - {""}, key=language_sort_key)
    table = pa.concat_tables([widened(one, langs, negatives) for one in parts])
    # Numbers take a tenth of the memory of a table of ids; only where two are alike do ids count.
    if len(np.unique(numbers_of(table["id"]))) < len(table):
        counts = pc.value_counts(table["id"]).to_pylist()
        if twice := [row["values"] for row in counts if row["counts"] > 1]:
            again = len(table) - len(counts)
            raise BadData(f"{name}: {again} ids are there twice, first {twice[0]!r}")
    return ParallelPairs(
        table, langs, negatives=negatives, sources=[(name, len(table))], further=further
    )


def _from_json(path: Path) -> Iterator[Group]:
    yield from with_pictures(read_json_lines(path), path, "line")


def _from_lines(paths: Mapping[str, Path]) -> Iterator[Group]:
    """Yield a group for each line of files that have as many lines each."""
    parts = [read_lines(path) for path in paths.values()]
    for number, found in enumerate(zip_longest(*parts), start=1):
        texts: dict[str, str] = {}
        for (lang, path), line in zip(paths.items(), found, strict=True):
            if line is None:
                raise BadData(
                    f"parallel files have as many lines each: {path} ends after line {number - 1}, "
                    "another goes on"
                )
            try:
                texts[lang] = line[1].decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise BadData(f"{path} line {number} is not UTF-8: {error}") from error
        yield {"query": texts, "positive": texts}


def _from_parquet(path: Path) -> Iterator[Group]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadData(f"{path} is no Parquet file: {error}") from error
    rows = (row for batch in file.iter_batches(ROWS) for row in batch.to_pylist())
    yield from with_pictures(enumerate(rows, start=1), path, "row")


def _from_hub(name: str, split: str, revision: str | None) -> Any:
    """Return what `datasets` finds by this name."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        return load_dataset(name, split=split, revision=revision)
    except (DatasetsError, OSError, ValueError) as error:
        raise BadData(f"{name} is no file, folder or dataset to be had: {error}") from error


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _mapped(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
