"""Retrieval tasks of mteb by name, ``mteb:NAME``, through mteb's own loaders.

A subset of a task has the passages of one language and the queries of that or another one; together
they make mono and cross settings, and a pool.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.errors import BadData, BadOption, MissingExtra, Unreachable, find_reason, lookup
from beir_hybrid.languages import normalise, normalise_variant
from beir_hybrid.sources.bad_rows import BadRows, OnBad
from beir_hybrid.sources.spec import Dataset

if TYPE_CHECKING:
    from mteb.abstasks.retrieval import AbsTaskRetrieval

_SUMMARY_LENGTH = 100


def find_task(name: str) -> Dataset:
    """Return the dataset of a task; the table of tasks is mteb's."""
    task = _make_task(name)
    metadata = task.metadata
    codes = _list_codes(metadata.hf_subsets_to_langscripts)
    return Dataset(
        name=f"mteb:{name}",
        summary=" ".join(metadata.description.split())[:_SUMMARY_LENGTH],
        load=partial(load, name),
        languages=tuple(sorted(set(codes.values()))),
        licence=metadata.license or "",
        citation=metadata.bibtex_citation or "",
        homepage=str(metadata.reference or ""),
    )


def load(
    name: str,
    languages: tuple[str, ...] | None = None,
    *,
    split: str = "",
    parallel: bool = False,
    on_bad: OnBad = "refuse",
) -> Collection:
    """Return a task of mteb.

    Parameters
    ----------
    split
        The first of those that mteb evaluates by default.
    parallel
        Whether queries of the same id translate each other: then each has the relevant passages of
        all of them, which makes cross-lingual settings of monolingual subsets.
    on_bad
        ``"drop"`` leaves out passages and queries without text, queries without a relevant passage,
        and judgements of passages that are not there; the collection records how many.
    """
    from mteb import __version__ as version

    metadata = _make_task(name).metadata
    split = split or metadata.eval_splits[0]
    if split not in metadata.eval_splits:
        splits = ", ".join(metadata.eval_splits)
        raise BadOption(f"mteb:{name} has no split {split!r}; there are {splits}")
    sides = _find_sides(name, metadata.hf_subsets_to_langscripts, languages)
    revision = str(metadata.dataset["revision"])
    options = {"split": split, "parallel": parallel, "on_bad": on_bad}
    recipe = {
        "mteb": [name, version, revision],
        "subsets": sorted(sides),
        "options": options,
    }

    def build(writer: CollectionWriter) -> None:
        writer.keeps_variants = True  # the codes are ours already
        bad_rows = BadRows(on_bad)
        reader = _TaskReader(writer, bad_rows)
        data = _load_data(name, list(sides))
        for subset, (passage_language, query_language) in sides.items():
            reader.read(subset, data[subset][split], passage_language, query_language)
        reader.finish(parallel=parallel)
        writer.finish(
            licence=metadata.license or "",
            citation=metadata.bibtex_citation or "",
            provenance=[Origin(f"hf://datasets/{metadata.dataset['path']}", "", revision)],
            options=options | {"mteb": version} | bad_rows.record(writer),
        )

    return load_or_build(f"mteb:{name}", recipe, build)


def _make_task(name: str) -> "AbsTaskRetrieval":
    try:
        from mteb.abstasks.retrieval import AbsTaskRetrieval
        from mteb.get_tasks import _TASKS_REGISTRY
    except ImportError as error:
        raise MissingExtra(f"mteb:{name} needs mteb: pip install 'mteb>=2.26'") from error
    task = lookup("task of mteb", name, _TASKS_REGISTRY)()
    if not isinstance(task, AbsTaskRetrieval) or task.metadata.modalities != ["text"]:
        raise BadOption(f"mteb:{name} is no retrieval of texts, but {task.metadata.type}")
    return task


def _load_data(name: str, subsets: list[str]) -> Mapping[str, Any]:
    """Return mteb's rows by subset and split."""
    task = _make_task(name)
    task.hf_subsets = subsets
    try:
        task.load_data()
    except Exception as error:  # loaders and the hub's client raise anything
        raise Unreachable(f"mteb cannot load {name}: {find_reason(error)}") from error
    task.convert_v1_dataset_format_to_v2(num_proc=None)
    rows: Mapping[str, Any] = task.dataset
    return rows


def _find_sides(
    name: str, subsets: Mapping[str, Sequence[str]], languages: tuple[str, ...] | None
) -> dict[str, tuple[str, str]]:
    """Return the languages of passages and queries of each subset that has no other languages."""
    codes = _list_codes(subsets)
    sides = {
        subset: (codes[tags[0]], codes[tags[-1]])  # passages come first
        for subset, tags in subsets.items()
        if languages is None or {codes[tag] for tag in tags} <= {*languages}
    }
    if not sides:
        raise BadOption(f"mteb:{name} has no subset with {', '.join(languages or ())} alone")
    return sides


def _list_codes(subsets: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the code of each language tag, with scripts if two tags would have one code."""
    tags = list(dict.fromkeys(tag for tags in subsets.values() for tag in tags))
    codes = {tag: normalise(tag) for tag in tags}
    if len(set(codes.values())) < len(tags):
        codes = {tag: normalise_variant(tag) for tag in tags}
    return codes


class _TaskReader:
    """Turns subsets into rows; queries and passages that subsets share are written once."""

    def __init__(self, writer: CollectionWriter, bad_rows: BadRows) -> None:
        self.writer, self.bad_rows = writer, bad_rows
        self.texts: dict[str, tuple[str, str]] = {}  # title and text by id
        self.queries: dict[tuple[str, str], str] = {}  # text by language and key
        self.golds: dict[tuple[str, str], dict[str, int]] = {}  # grades by id of passages

    def read(self, subset: str, data: Any, passage_language: str, query_language: str) -> None:
        """Read the rows of a subset."""
        passages: dict[str, str] = {}
        for row in data["corpus"]:
            content = row.get("title") or "", row.get("text") or ""
            if not "".join(content).strip():
                self.bad_rows.note("passages without text", f"{subset}, passage {row['id']!r}")
                continue
            key = self._choose_key(passage_language, subset, str(row["id"]), content)
            passages[str(row["id"])] = f"{passage_language}:{key}"
        for row in data["queries"]:
            where, text = f"{subset}, query {row['id']!r}", row["text"] or ""
            grades = self._find_grades(data["relevant_docs"].get(row["id"], {}), passages, where)
            if not text.strip():
                self.bad_rows.note("queries without text", where)
            elif not any(grade > 0 for grade in grades.values()):
                self.bad_rows.note("queries without a relevant passage", where)
            else:
                query = query_language, _quote(str(row["id"]))
                if self.queries.setdefault(query, text) != text:
                    query = query_language, f"{subset}.{query[1]}"
                    self.queries[query] = text
                self.golds.setdefault(query, {}).update(grades)

    def finish(self, *, parallel: bool) -> None:
        """Write queries and judgements; with `parallel`, those of one key share judgements."""
        grades_by_key: dict[str, dict[str, int]] = {}
        for (_, key), grades in self.golds.items():
            grades_by_key.setdefault(key, {}).update(grades)
        for (lang, key), text in self.queries.items():
            group = key if parallel else f"{lang}:{key}"
            query = self.writer.add_query(lang, key, text, group)
            grades = grades_by_key[key] if parallel else self.golds[lang, key]
            for passage, grade in grades.items():
                self.writer.add_judgement(query, passage, grade)

    def _choose_key(self, lang: str, subset: str, raw_id: str, content: tuple[str, str]) -> str:
        """Return the key of a passage, and write the passage if it is new."""
        for key in (_quote(raw_id), f"{subset}.{_quote(raw_id)}"):
            identity = f"{lang}:{key}"
            if identity not in self.texts:
                self.texts[identity] = content
                self.writer.add_passage(lang, key, *content)
            if self.texts[identity] == content:
                return key
        raise BadData(f"{subset} has two passages with the id {raw_id!r}")

    def _find_grades(
        self, relevances: Mapping[str, int], passages: Mapping[str, str], where: str
    ) -> dict[str, int]:
        grades = {}
        for passage, grade in relevances.items():
            if passage in passages:
                grades[passages[passage]] = int(grade)
            else:
                self.bad_rows.note("judgements of passages that are not there", where)
        return grades


def _quote(raw_id: str) -> str:
    """Return an id without white space, as collections and runs have ids."""
    return re.sub(r"[\s\x00-\x1f\x7f]", lambda match: quote(match[0]), raw_id)
