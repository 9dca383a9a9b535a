"""Make parallel training pairs from groups in memory, files, collections and parallel texts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import language_sort_key
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import is_file, sha256
from beir_hybrid.pairs.collection_groups import group_captions, group_queries
from beir_hybrid.pairs.columns import add_language_columns
from beir_hybrid.pairs.group_files import (
    load_hub_groups,
    read_bitext_groups,
    read_jsonl_groups,
    read_parquet_groups,
)
from beir_hybrid.pairs.group_parser import Group, GroupParser, build_tables
from beir_hybrid.pairs.labels import hash_texts
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.pairs.table_cache import cache_tables

_FORMATS = {
    ".jsonl": read_jsonl_groups,
    ".gz": read_jsonl_groups,
    ".parquet": read_parquet_groups,
}


def pairs_from_groups(
    groups: Iterable[Group],
    *,
    negatives: int = 0,
    language: str | None = None,
    languages: Iterable[str] | None = None,
    name: str = "pairs",
) -> ParallelPairs:
    """Make pairs of groups in memory.

    Parameters
    ----------
    groups
        ``{"id": ..., "query": {lang: text}, "positive": {lang: text}, "negative": {lang: [text]}}``
        each; ``id`` and ``negative`` may be left out, and not every text is in every language.
        ``"image": path`` beside or instead of ``positive`` is an image that answers the query.
    negatives
        How many hard negatives a row has; every group must have one at least. With 0, those of
        groups are left out, with a warning.
    language
        The language of plain texts, where ``query`` and ``positive`` are no mappings.
    languages
        The only ones to keep, if not all; groups with no query or no passage in them are left out.

    Examples
    --------
    >>> group = {"query": {"de": "Wo?", "en": "Where?"}, "positive": {"de": "Hier.", "en": "Here."}}
    >>> pairs = pairs_from_groups([group])
    >>> pairs
    ParallelPairs(1 groups in de, en; columns anchor, positive, label)
    >>> pairs[0]["anchor"], pairs[0]["positive"]
    ('Wo?', 'Hier.')
    """
    return _parse_pairs(groups, GroupParser(name, negatives, language, languages))


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
    """Read pairs of a file or a dataset of the hub, a group a row; see `pairs_from_groups`.

    The data are converted once; the texts stay on disk.

    Parameters
    ----------
    path
        A JSONL or Parquet file, to which paths of images are relative; or else what
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
    name = name or file.name.split(".")[0]
    groups: Iterable[object]
    if file.suffix in _FORMATS:
        if not is_file(file):
            raise BadData(f"there is no file {path}")
        groups, identity = _FORMATS[file.suffix](file), sha256(file)
    elif is_file(file):
        raise BadOption(f"{path} must end in .jsonl, .jsonl.gz or .parquet")
    else:
        dataset = load_hub_groups(str(path), split, revision)
        groups, identity = dataset, dataset._fingerprint  # noqa: SLF001 - it has no public name
    parser = GroupParser(name, negatives, language, languages)
    recipe = f"4 {identity} {negatives} {language} {sorted(parser.languages or ())}"
    return build_pairs(cache_tables(recipe, groups, parser, file.parent), negatives, name)


def pairs_from_collection(
    collection: Collection, *, queries: Iterable[str] | None = None
) -> ParallelPairs:
    """Make pairs of the queries of a collection with their relevant passages.

    A query with several relevant passages in a language makes as many groups, each with one of
    them; the others count as its passages all the same, and never as negatives.

    Of a collection with images a group is an image and a number of its captions: the passages are
    the image and other captions of it. A caption is never its own passage.

    Parameters
    ----------
    queries
        The groups of queries to take (the column ``group`` of ``collection.queries``), of images
        their keys; all by default.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> pairs_from_collection(bh.load("mlqa-r", languages=["de", "en", "es"]))  # doctest: +SKIP
    ParallelPairs(1,148 groups in de, en, es; columns anchor, positive, label)
    """
    keys = None if queries is None else set(queries)
    group = group_captions if collection.has_images else group_queries
    groups, golds = group(collection, keys)
    if not groups:
        raise BadData(f"{collection.name} has none of the queries that are asked for")
    parser = GroupParser(collection.name, keeps_variants=True)
    tables = list(build_tables(groups, parser))
    parser.report()
    return build_pairs(tables, 0, collection.name, _hash_golds(golds))


def pairs_from_bitext(
    texts: Mapping[str, Sequence[str | None]], name: str = "bitext"
) -> ParallelPairs:
    """Make pairs of parallel lines: a line in one language answers the same line in another.

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
    return _parse_pairs(groups, GroupParser(name, is_partial=True))


def read_bitext(
    files: Mapping[str, str | Path], *, languages: Iterable[str] | None = None, name: str = ""
) -> ParallelPairs:
    """Read pairs of files of parallel lines, by language, as `pairs_from_bitext` takes texts.

    The data are converted once; the texts stay on disk.
    """
    paths = {lang: Path(file) for lang, file in files.items()}
    for path in paths.values():
        if not is_file(path):
            raise BadData(f"there is no file {path}")
    name = name or next(iter(paths.values())).name.split(".")[0]
    parser = GroupParser(name, languages=languages, is_partial=True)
    hashes = sorted((lang, sha256(path)) for lang, path in paths.items())
    recipe = f"bitext 2 {hashes} {sorted(parser.languages or ())}"
    return build_pairs(cache_tables(recipe, read_bitext_groups(paths), parser), 0, name)


def build_pairs(
    tables: Sequence[pa.Table],
    negatives: int,
    name: str,
    further_golds: np.ndarray | None = None,
) -> ParallelPairs:
    """Make pairs of tables of groups, which may have different languages.

    Raises `BadData` if there is no group, or an id is there twice.
    """
    if not tables:
        raise BadData(f"{name} has no groups")
    names = {column for table in tables for column in table.schema.names}
    languages = sorted({column.partition(".")[2] for column in names} - {""}, key=language_sort_key)
    table = pa.concat_tables(
        [add_language_columns(table, languages, negatives) for table in tables]
    )
    # Hashes take a tenth of the memory of a table of ids; only where two are alike do ids count.
    if len(np.unique(hash_texts(table["id"]))) < len(table):
        counts = pc.value_counts(table["id"]).to_pylist()
        if duplicate_ids := [row["values"] for row in counts if row["counts"] > 1]:
            n_duplicates = len(table) - len(counts)
            raise BadData(f"{name}: {n_duplicates} ids are there twice, first {duplicate_ids[0]!r}")
    sources = [(name, len(table))]
    return ParallelPairs(
        table, languages, negatives=negatives, sources=sources, further_golds=further_golds
    )


def _parse_pairs(groups: Iterable[object], parser: GroupParser) -> ParallelPairs:
    """Make pairs of groups in memory, with warnings of their problems."""
    tables = list(build_tables(groups, parser))
    parser.report()
    return build_pairs(tables, parser.negatives, parser.name)


def _hash_golds(golds: Sequence[Sequence[str]]) -> np.ndarray | None:
    """Return the hashes of each group's further golds, padded with -1; None without any."""
    width = max(map(len, golds))
    if not width:
        return None
    columns = [
        pa.array([texts[i] if i < len(texts) else None for texts in golds], pa.string())
        for i in range(width)
    ]
    return np.stack([hash_texts(pa.chunked_array([column])) for column in columns], axis=1)
