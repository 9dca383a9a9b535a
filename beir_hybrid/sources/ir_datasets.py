"""Datasets of ir_datasets by name, ``ir-datasets:NAME``, through its own loaders.

``{lang}`` in a name stands for each language, as in ``ir-datasets:miracl/{lang}/dev``: the datasets
of all these names together make mono and cross settings, and a pool.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.errors import (
    BadOption,
    BeirHybridError,
    MissingExtra,
    Unreachable,
    find_reason,
    lookup,
)
from beir_hybrid.languages import normalise, normalise_all
from beir_hybrid.network import is_offline
from beir_hybrid.sources.bad_rows import BadRows, OnBad
from beir_hybrid.sources.spec import Dataset
from beir_hybrid.sources.subset_reader import SubsetReader

PREFIX, LANGUAGE = "ir-datasets", "{lang}"
_CODES = {"dt": "nl"}  # mMARCO's code of Dutch


def find_ir_dataset(name: str) -> Dataset:
    """Return the dataset of a name, or of all names that have a language in place of ``{lang}``."""
    sides = _find_sides(name)
    return Dataset(
        name=f"{PREFIX}:{name}",
        summary=_shorten(", ".join(sides)),
        load=partial(load, name),
        languages=tuple(sorted({lang for lang, _ in sides.values() if lang})),
        homepage=f"https://ir-datasets.com/{name.partition('/')[0]}.html",
    )


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit].rpartition(',')[0]}, ..."


def load(
    name: str,
    languages: tuple[str, ...] | None = None,
    *,
    language: str = "",
    query_language: str = "",
    parallel: bool = False,
    on_bad: OnBad = "refuse",
) -> Collection:
    """Return datasets of ir_datasets as one collection.

    Parameters
    ----------
    language, query_language
        The languages of passages and of queries, where ir_datasets does not name them.
    parallel
        Whether queries of the same id translate each other: then each has the relevant passages of
        all of them.
    on_bad
        ``"drop"`` leaves out passages and queries without text, queries without a relevant passage,
        and judgements of passages that are not there; the collection records how many.
    """
    codes = None if languages is None else normalise_all(languages)
    sides = {
        subset: (
            _choose_language(subset, passages, language, "language"),
            _choose_language(subset, queries, query_language, "query_language"),
        )
        for subset, (passages, queries) in _find_sides(name).items()
        # Subsets whose language is not known are refused.
        if codes is None or normalise(passages or language or codes[0]) in codes
    }
    options = {
        "language": language, "query_language": query_language, "parallel": parallel,
        "on_bad": on_bad,
    }  # fmt: skip
    release = version("ir_datasets")
    recipe = {PREFIX: [name, release], "subsets": sorted(sides), "options": options}

    def build(writer: CollectionWriter) -> None:
        bad_rows = BadRows(on_bad)
        reader = SubsetReader(writer, bad_rows)
        for subset, codes in sides.items():
            _read_subset(reader, subset, *codes)
        reader.finish(parallel=parallel)
        writer.finish(
            provenance=[Origin(f"{PREFIX}:{subset}", "", release) for subset in sides],
            options=options | {"ir_datasets": release} | bad_rows.record(writer),
        )

    return load_or_build(f"{PREFIX}:{name}", recipe, build)


def _read_subset(
    reader: SubsetReader, subset: str, passage_language: str, query_language: str
) -> None:
    if is_offline():
        raise Unreachable(
            f"ir_datasets may download {subset}, and BEIR_HYBRID_OFFLINE is set; unset it if "
            "IR_DATASETS_HOME has the files"
        )
    try:
        reader.read(subset, _open_subset(subset), passage_language, query_language)
    except BeirHybridError:
        raise
    except Exception as error:  # downloads and readers of ir_datasets raise anything
        raise Unreachable(f"ir_datasets cannot load {subset}: {find_reason(error)}") from error


def _find_sides(name: str) -> dict[str, tuple[str, str]]:
    """Return the languages of passages and of queries by dataset, empty where they are unknown."""
    library = _import_library()
    names = dict.fromkeys(library.registry)
    if LANGUAGE not in name:
        lookup("dataset of ir_datasets", name, names)
        names = {name: None}
    pattern = re.compile(re.escape(name).replace(re.escape(LANGUAGE), "(?P<lang>[a-z-]+)"))
    sides = {}
    for subset in names:
        if not pattern.fullmatch(subset):
            continue
        dataset = library.load(subset)
        if not (dataset.has_docs() and dataset.has_queries() and dataset.has_qrels()):
            continue
        sides[subset] = (
            _normalise_tag(dataset.docs_lang()), _normalise_tag(dataset.queries_lang())
        )  # fmt: skip
    if not sides:
        raise BadOption(f"{name}: ir_datasets has no passages, queries and judgements of that name")
    return sides


def _normalise_tag(tag: str | None) -> str:
    return normalise(_CODES.get(tag, tag)) if tag else ""


def _import_library() -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtra(f"{PREFIX}: needs pip install ir_datasets") from error
    return ir_datasets


def _choose_language(subset: str, declared: str, option: str, name: str) -> str:
    if not (declared or option):
        raise BadOption(f"ir_datasets names no {name} of {subset}: say it, such as {name}=en")
    if declared and option and normalise(option) != declared:
        raise BadOption(
            f"{name} is {option!r}, and ir_datasets says that {subset} is in {declared}"
        )
    return declared or normalise(option)


def _open_subset(subset: str) -> Any:
    """Return the rows of a dataset; passages are read one by one."""
    dataset = _import_library().load(subset)
    relevances: dict[str, dict[str, int]] = {}
    for row in dataset.qrels_iter():
        relevances.setdefault(row.query_id, {})[row.doc_id] = int(row.relevance)
    return {
        "corpus": _read_passages(dataset),
        "queries": [
            {"id": query.query_id, "text": query.default_text()}
            for query in dataset.queries_iter()
            if query.query_id in relevances
        ],
        "relevant_docs": relevances,
    }


def _read_passages(dataset: Any) -> Iterator[Mapping[str, str]]:
    for document in dataset.docs_iter():
        yield {"id": document.doc_id, "title": "", "text": document.default_text()}
