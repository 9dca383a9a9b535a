"""Groups of texts from files, collections and lists in, `ParallelPairs` out."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import to_arrow
from beir_hybrid.collection.lines import json_lines
from beir_hybrid.collection.model import retrieval_texts
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import cache_folder, locked, replacing_folder, sha256
from beir_hybrid.languages import normalise
from beir_hybrid.training.numbers import numbers_of
from beir_hybrid.training.pairs import ParallelPairs, widened

logger = logging.getLogger(__name__)

Group = Mapping[str, Any]
_ROWS = 1 << 15  # groups a file of the cache


def pairs_of(
    groups: Iterable[Group], *, negatives: int = 0, language: str | None = None, name: str = "pairs"
) -> ParallelPairs:
    """Return pairs of groups in memory.

    Parameters
    ----------
    groups
        ``{"id": ..., "query": {lang: text}, "positive": {lang: text}, "negative": {lang: [text]}}``
        each; ``id`` and ``negative`` may be left out, and not every text is in every language.
    negatives
        How many hard negatives a row has; every group must have one at least.
    language
        The language of plain texts, where ``query`` and ``positive`` are no mappings.
    """
    tables = list(_tables(groups, _Checks(name, negatives, language)))
    return _pairs(tables, negatives, name)


def read_pairs(
    path: str | Path,
    *,
    negatives: int = 0,
    language: str | None = None,
    name: str = "",
    split: str = "train",
    revision: str | None = None,
) -> ParallelPairs:
    """Return pairs of a file or a dataset of the hub, with a group a row as `pairs_of` takes them.

    What is read is converted once; its texts stay on disk.

    Parameters
    ----------
    path
        A JSONL or Parquet file; or else what ``datasets.load_dataset`` reads, a name on the hub or
        a folder.
    split, revision
        Of a dataset.
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
    recipe = f"1 {identity} {negatives} {language}"
    folder = cache_folder() / "pairs" / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    with locked(folder.with_name(f"{folder.name}.building")):  # `replacing_folder` locks it, too
        if not folder.is_dir():
            checks = _Checks(name, negatives, language)
            with replacing_folder(folder) as building:
                for number, table in enumerate(_tables(groups, checks)):
                    _write(building / f"{number:05}.arrow", table)
    tables = [_mapped(part) for part in sorted(folder.glob("*.arrow"))]
    return _pairs(tables, negatives, name)


def pairs_of_collection(
    collection: Collection, *, queries: Iterable[str] | None = None
) -> ParallelPairs:
    """Return the questions of a collection with their relevant passages.

    A question with several relevant passages in a language makes as many groups, each with one of
    them; the others count as its passages all the same, and never as negatives.

    Parameters
    ----------
    queries
        The groups of questions to take (the column ``group`` of ``collection.queries``); all by
        default.
    """
    wanted = None if queries is None else set(queries)
    table = collection.queries.select(["group", "lang", "text"]).to_pylist()
    asked: dict[str, dict[str, str]] = {}
    for row in table:
        asked.setdefault(row["group"], {})[row["lang"]] = row["text"]
    query, passage, relevance = collection.view().judgements
    golds: dict[str, dict[str, dict[int, None]]] = {}
    langs = {lang: collection.passage_rows(lang) for lang in collection.languages}
    for q, p in zip(query[relevance > 0].tolist(), passage[relevance > 0].tolist(), strict=True):
        lang = next(lang for lang, rows in langs.items() if p in rows)
        golds.setdefault(table[q]["group"], {}).setdefault(lang, {})[p] = None
    rows = np.unique(np.array([p for g in golds.values() for s in g.values() for p in s], np.int64))
    documents = collection.view().documents.take(to_arrow(rows))
    texts = dict(zip(rows.tolist(), retrieval_texts(documents).to_pylist(), strict=True))

    groups: list[Group] = []
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
    if not groups:
        raise BadData(f"{collection.name} has none of the questions that are asked for")
    tables = list(_tables(groups, _Checks(collection.name, 0, None)))
    width = max(map(len, others))
    further = None
    if width:
        columns = [[some[i] if i < len(some) else None for some in others] for i in range(width)]
        further = np.stack(
            [numbers_of(pa.chunked_array([pa.array(c, pa.string())])) for c in columns], axis=1
        )
    return _pairs(tables, 0, collection.name, further)


def pairs_of_bitext(
    texts: Mapping[str, Sequence[str | None]], name: str = "bitext"
) -> ParallelPairs:
    """Return pairs of parallel lines: a line in one language answers the same line in another.

    Only cross-lingual pairs make sense of them: the monolingual ones are of a text with itself.
    """
    lengths = {lang: len(lines) for lang, lines in texts.items()}
    if len(set(lengths.values())) != 1:
        raise BadData(f"{name}: parallel texts have as many lines each, these have {lengths}")
    count = next(iter(lengths.values()))
    groups = (
        {"query": (line := {la: lines[i] for la, lines in texts.items() if lines[i]}),
         "positive": line}
        for i in range(count)
    )  # fmt: skip
    return pairs_of(groups, name=name)


@dataclass
class _Checks:
    """What is asked of the groups of a source, and what was found wrong with them."""

    name: str
    negatives: int
    language: str | None
    blank: int = 0
    same: int = 0
    first: dict[str, str] = field(default_factory=dict)

    def texts(self, value: Any, part: str, where: str) -> dict[str, str]:
        """Return a part's texts by language; those that are blank are left out, and counted."""
        if isinstance(value, str) and self.language:
            value = {self.language: value}
        if not isinstance(value, Mapping):
            raise BadData(
                f"{where}: {part} must map languages to texts"
                + ("" if self.language else ", or be a text of the language that language= names")
            )
        found = {}
        for lang, text in value.items():
            if text is None:
                continue
            if not isinstance(text, str):
                raise BadData(f"{where}: {part} in {lang!r} is {text!r:.40}, no text")
            if text.strip():
                found[normalise(lang)] = text
            else:
                self.blank += 1
                self.first.setdefault("blank", where)
        return found

    def hard(self, value: Any, positive: dict[str, str], where: str) -> dict[str, list[str]]:
        """Return hard negatives by language; those that are the passage itself are left out."""
        if not self.negatives:
            return {}
        if isinstance(value, list) and self.language:
            value = {self.language: value}
        if not isinstance(value, Mapping):
            raise BadData(f"{where}: negative must map languages to lists of texts")
        given = {normalise(lang): texts for lang, texts in value.items()}
        found = {}
        for lang, text in positive.items():
            texts = given.get(lang) or []
            if not all(isinstance(one, str) and one.strip() for one in texts):
                raise BadData(f"{where}: a negative in {lang!r} is no text")
            kept = [one for one in texts if one != text]
            if len(kept) < len(texts):
                self.same += len(texts) - len(kept)
                self.first.setdefault("same", where)
            if not kept:
                raise BadData(f"{where} has no hard negative in {lang!r}; leave negatives=0")
            found[lang] = kept
        return found

    def report(self) -> None:
        """Warn of what was left out, once."""
        for count, key, what in (
            (self.blank, "blank", "blank texts are taken for missing translations"),
            (self.same, "same", "hard negatives are the passage itself, and are left out"),
        ):
            if count:
                logger.warning("%s: %d %s, first in %s", self.name, count, what, self.first[key])


def _tables(groups: Iterable[Group], checks: _Checks) -> Iterator[pa.Table]:
    """Yield tables with a column for the texts of each part and language."""
    rest, start = iter(groups), 0
    while some := list(islice(rest, _ROWS)):
        ids: list[str] = []
        columns: dict[str, list[Any]] = {}
        for at, group in enumerate(some):
            ids.append(str(group.get("id", start + at)))
            where = f"{checks.name}, group {ids[-1]!r}"
            query = checks.texts(group.get("query"), "query", where)
            positive = checks.texts(group.get("positive"), "positive", where)
            for part, found in (("query", query), ("positive", positive)):
                if not found:
                    raise BadData(f"{where} has no {part} in any language")
            hard = checks.hard(group.get("negative"), positive, where)
            for part, texts in (("query", query), ("positive", positive), ("negative", hard)):
                for lang, text in texts.items():
                    columns.setdefault(f"{part}.{lang}", [None] * len(some))[at] = text
        start += len(some)
        kinds = {name: pa.list_(pa.string()) if name.startswith("negative.") else pa.string()
                 for name in columns}  # fmt: skip
        arrays = {name: pa.array(texts, kinds[name]) for name, texts in columns.items()}
        yield pa.table({"id": pa.array(ids, pa.string()), **arrays})
    checks.report()


def _pairs(
    tables: Sequence[pa.Table], negatives: int, name: str, further: np.ndarray | None = None
) -> ParallelPairs:
    if not tables:
        raise BadData(f"{name} has no groups")
    names = {column for table in tables for column in table.schema.names}
    langs = sorted({column.partition(".")[2] for column in names} - {""})
    table = pa.concat_tables([widened(one, langs, negatives) for one in tables])
    distinct = pc.count_distinct(table["id"]).as_py()
    if distinct < len(table):
        counts = pc.value_counts(table["id"]).to_pylist()
        twice = next(row["values"] for row in counts if row["counts"] > 1)
        raise BadData(f"{name}: {len(table) - distinct} ids are there twice, first {twice!r}")
    return ParallelPairs(
        table, langs, negatives=negatives, sources=[(name, len(table))], further=further
    )


def _from_json(path: Path) -> Iterator[Group]:
    for _, row in json_lines(path):
        yield row


def _from_parquet(path: Path) -> Iterator[Group]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadData(f"{path} is no Parquet file: {error}") from error
    for batch in file.iter_batches(_ROWS):
        yield from batch.to_pylist()


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
