"""Judgements in TREC's qrels and the ids in runs, as a collection that has no texts.

It is enough to evaluate runs whose corpus is elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from beir_hybrid.collection import Collection, Origin
from beir_hybrid.collection.beir_dicts import Unanswered, from_beir
from beir_hybrid.collection.lines import COMMENT, read_lines
from beir_hybrid.collection.qrels import read_qrels
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import is_file, sha256
from beir_hybrid.languages import normalise
from beir_hybrid.sources.spec import Dataset

_PASSAGE_COLUMN = 2  # of a run, from 0
CAVEAT = (
    "the collection has no texts, and no passages but those that judgements and runs name: "
    "measures take these for the whole pool"
)


def load(
    languages: tuple[str, ...] | None = None,
    *,
    qrels: Path,
    runs: tuple[Path, ...] = (),
    id_languages: str | Path | None = None,
    name: str = "",
    unanswered: Unanswered = "refuse",
) -> Collection:
    """Return the queries and passages that qrels and runs name, with their judgements.

    `id_languages` is the language of all ids, or a file that has an id and its language in each
    line; by default ids begin with their language, as in ``de:12-3``. `from_beir` describes
    `unanswered`.
    """
    if languages is not None:
        raise BadOption("trec loads every language of the files")
    files = [qrels, *runs]
    for path in files:
        if not is_file(path):
            raise BadData(f"there is no file {path}")
    judgements: dict[str, dict[str, int]] = {}
    for number, row in enumerate(read_qrels(qrels)[1], start=1):
        grades = judgements.setdefault(row.query, {})
        if grades.setdefault(row.passage, row.relevance) != row.relevance:
            raise BadData(
                f"{qrels}, judgement {number}: {row.passage!r} has two grades for {row.query!r}"
            )
    passages = {passage for grades in judgements.values() for passage in grades}
    for path in files[1:]:
        passages.update(_list_passages(path))
    language_of = _read_languages(str(id_languages or ""), [*judgements, *passages])
    collection = from_beir(
        {key: {"text": key} for key in sorted(passages)},
        {key: key for key in judgements},
        judgements,
        language_of,
        query_languages=language_of,  # an id has one language, whatever it names
        name=name or qrels.name.split(".")[0],
        unanswered=unanswered,
    )
    origins = tuple(Origin(str(path.resolve()), sha256(path)) for path in files)
    return replace(collection, provenance=origins, caveat=CAVEAT)


def _list_passages(run: Path) -> Iterator[str]:
    """Yield the passages that a run names; its evaluation checks its lines."""
    for _, line in read_lines(run):
        columns = line.split(maxsplit=3)
        if len(columns) > _PASSAGE_COLUMN and not columns[0].startswith(COMMENT):
            yield columns[_PASSAGE_COLUMN].decode("utf-8", "replace")


def _read_languages(source: str, ids: Iterable[str]) -> Mapping[str, str] | str | None:
    """Return the language of each id; of all, or None, where no file has them."""
    if not source:
        if absent := [key for key in ids if ":" not in key]:
            raise BadData(
                f"{len(absent):,} ids have no language, first {absent[0]!r}: --id-languages (in "
                "Python id_languages) names the language of all ids, or a file with an id and its "
                "language in each line"
            )
        return None
    if not is_file(Path(source)):
        try:
            return normalise(source)
        except BadData as error:
            raise BadOption(f"there is no file {source}, and no such language") from error
    languages: dict[str, str] = {}
    for number, line in read_lines(Path(source)):
        columns = line.decode("utf-8", "replace").split()
        if columns and len(columns) != 2:  # noqa: PLR2004 - a pair
            raise BadData(f"{source} line {number}: expected an id and its language")
        if columns and languages.setdefault(columns[0], columns[1]) != columns[1]:
            raise BadData(
                f"{source} line {number}: {columns[0]!r} has two languages; ids of queries and of "
                "passages have to differ"
            )
    if absent := [key for key in ids if key not in languages]:
        raise BadData(f"{source} has no language for {len(absent):,} ids, first {absent[0]!r}")
    return languages


TREC = Dataset(
    name="trec",
    summary="judgements in TREC's qrels and the passages of runs, without texts",
    load=load,
    licence="your own",
)
