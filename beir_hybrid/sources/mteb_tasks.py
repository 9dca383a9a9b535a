"""Retrieval tasks of mteb by name, ``mteb:NAME``, through mteb's own loaders.

A subset of a task has the passages of one language and the queries of that or another one; together
they make mono and cross settings, and a pool.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.errors import BadOption, MissingExtra, Unreachable, find_reason, lookup
from beir_hybrid.hub import restrict_datasets
from beir_hybrid.languages import normalise, normalise_variant
from beir_hybrid.sources.bad_rows import BadRows, OnBad
from beir_hybrid.sources.spec import Dataset
from beir_hybrid.sources.subset_reader import SubsetReader

if TYPE_CHECKING:
    from mteb.abstasks.retrieval import AbsTaskRetrieval

_SUMMARY_LENGTH = 100
# Whether queries are in the first of a subset's two languages, as the loaders of the tasks have it.
HAS_QUERIES_FIRST = {
    "BelebeleRetrieval": False,
    "CUREv1": True,
    "CrossLingualSemanticDiscriminationWMT19": True,
    "CrossLingualSemanticDiscriminationWMT21": True,
    "MLQARetrieval": False,
    "XPQARetrieval": False,
}


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
        "subsets": sorted(sides.items()),
        "options": options,
    }

    def build(writer: CollectionWriter) -> None:
        writer.keeps_variants = True  # the codes are ours already
        bad_rows = BadRows(on_bad)
        reader = SubsetReader(writer, bad_rows)
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
    # Tasks of reranking are of the class, too; their candidates would be lost.
    facts = task.metadata
    is_text_retrieval = facts.type == "Retrieval" and facts.modalities == ["text"]
    if not isinstance(task, AbsTaskRetrieval) or not is_text_retrieval:
        raise BadOption(f"mteb:{name} is no retrieval of texts, but {task.metadata.type}")
    return task


def _load_data(name: str, subsets: list[str]) -> Mapping[str, Any]:
    """Return mteb's rows by subset and split."""
    task = _make_task(name)
    task.hf_subsets = subsets
    try:
        with restrict_datasets():
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
        subset: order_sides(name, [codes[tag] for tag in tags])
        for subset, tags in subsets.items()
        if languages is None or {codes[tag] for tag in tags} <= {*languages}
    }
    if not sides:
        raise BadOption(f"mteb:{name} has no subset with {', '.join(languages or ())} alone")
    return sides


def order_sides(name: str, codes: Sequence[str]) -> tuple[str, str]:
    """Return the languages of passages and queries of a subset.

    A subset of one language may list its varieties, as Norwegian does; the first is that of all.
    """
    if len(codes) != 2 or codes[0] == codes[1]:  # noqa: PLR2004 - one language a side
        return codes[0], codes[0]
    if name not in HAS_QUERIES_FIRST:
        raise BadOption(
            f"mteb:{name} has subsets of two languages, and does not say which of them is that of "
            "the queries; name one language"
        )
    first, second = codes
    return (second, first) if HAS_QUERIES_FIRST[name] else (first, second)


def _list_codes(subsets: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the code of each language tag, with scripts if two tags would have one code."""
    tags = list(dict.fromkeys(tag for tags in subsets.values() for tag in tags))
    codes = {tag: normalise(tag) for tag in tags}
    if len(set(codes.values())) < len(tags):
        codes = {tag: normalise_variant(tag) for tag in tags}
    return codes
