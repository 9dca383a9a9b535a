"""English questions with passages from tables on the hub: sets of the paper's mixture.

Groups have one language until ``beir-hybrid translate`` adds others. Where the paper does not say
what it took as passages and which rows, a set is taken as the hub has it: numbers of groups differ
from the paper's. EntityQuestions, which names entities as answers and no passages, is missing.
"""

from functools import partial
from typing import Any, NamedTuple

from beir_hybrid.checks import check_not_negative
from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.lines import require_text
from beir_hybrid.files import sha256
from beir_hybrid.hub import fetch_hub_file
from beir_hybrid.sources.bad_rows import BadRows
from beir_hybrid.sources.parquet import read_parquet
from beir_hybrid.sources.question_pairs import CAVEAT, PairWriter
from beir_hybrid.sources.spec import Dataset, announce

LANGUAGE = "en"
_ROWS = 4096  # read at a time


class Table(NamedTuple):
    """The files of a set on the hub, and the names of its columns.

    Attributes
    ----------
    title
        The column of titles; empty where there is none.
    condition
        A column, and the value that the rows of relevant passages have there.
    """

    repository: str
    commit: str
    files: tuple[str, ...]
    question: str
    passage: str
    title: str = ""
    condition: tuple[str, object] | None = None


TABLES = {
    "wikiqa": Table(
        "microsoft/wiki_qa", "27cb3a4ece82a68a3f40eb27a1477a3a3cbb189d",
        ("data/train-00000-of-00001.parquet",),
        "question", "answer", "document_title", ("label", 1),
    ),
    "duorc": Table(
        "ibm-research/duorc", "9a65b20d783dc0069598fe59e248510b17528075",
        ("SelfRC/train-00000-of-00001.parquet",),
        "question", "plot", "title", ("no_answer", False),
    ),
    "newsqa": Table(
        "lucadiliello/newsqa", "728e52920b8e4ffcfaad93fa47556f26a1d82546",
        ("data/train-00000-of-00001-ec54fbe500fc3b5c.parquet",), "question", "context",
    ),
    "natural-questions": Table(
        "sentence-transformers/natural-questions", "f9e894e1081e206e577b4eaa9ee6de2b06ae6f17",
        ("pair/train-00000-of-00001.parquet",), "query", "answer",
    ),
    "yahoo-answers": Table(
        "sentence-transformers/yahoo-answers", "93b3605c508cf93e3666c9d3e34640b5fe62b507",
        ("title-answer-pair/train-00000-of-00002.parquet",
         "title-answer-pair/train-00001-of-00002.parquet"),
        "title", "answer",
    ),
}  # fmt: skip


def load(name: str, languages: tuple[str, ...] | None = None, *, queries: int = 0) -> Collection:
    """Return the questions of a set with their passages.

    `queries` is how many questions to take, in the order of the file; 0 takes all.
    """
    check_not_negative(queries=queries)
    table, dataset = TABLES[name], _DATASETS[name]
    languages = languages or dataset.languages
    options = {"queries": queries}
    recipe = {"dataset": name, "commit": table.commit, "languages": languages, "options": options}

    def build(writer: CollectionWriter) -> None:
        origins, bad_rows = [], BadRows("drop")
        pairs = PairWriter(writer, LANGUAGE, queries, bad_rows)
        for file in table.files:
            path = fetch_hub_file(table.repository, file, table.commit)
            address = f"hf://datasets/{table.repository}/{file}"
            origins.append(Origin(address, sha256(path), table.commit, LANGUAGE))
            columns = [table.question, table.passage, table.title, *(table.condition or ())[:1]]
            rows = read_parquet(path, [str(column) for column in columns if column], _ROWS)
            for number, row in enumerate(rows):
                _add_row(row, table, pairs, f"{path} row {number}")
        announce(dataset)
        writer.finish(
            licence=dataset.licence,
            citation=dataset.citation,
            provenance=origins,
            options=options | bad_rows.record(writer),
            title_policy="title+text" if table.title else "text",
            caveat=CAVEAT,
        )

    return load_or_build(name, recipe, build)


def _add_row(row: dict[str, Any], table: Table, pairs: PairWriter, location: str) -> None:
    """Write the pair of a row that has a relevant passage."""
    if table.condition and row[table.condition[0]] != table.condition[1]:
        return
    question, title, passage = (
        require_text(row, name, location, "") if name else ""
        for name in (table.question, table.title, table.passage)
    )
    pairs.add(question, title, passage, location)


def _declare(name: str, summary: str, licence: str, citation: str, homepage: str) -> Dataset:
    """Return a set as a dataset of the registry."""
    return Dataset(
        name=name,
        summary=f"English {summary}, for training",
        load=partial(load, name),
        languages=(LANGUAGE,),
        licence=licence,
        citation=citation,
        homepage=homepage,
    )


WIKIQA = _declare(
    "wikiqa",
    "questions of web search with sentences of Wikipedia",
    "Microsoft Research Data License: research only",
    "Yang, Yih, Meek. WikiQA: A Challenge Dataset for Open-Domain Question Answering. EMNLP 2015.",
    "https://huggingface.co/datasets/microsoft/wiki_qa",
)
DUORC = _declare(
    "duorc",
    "questions on films with their plots, which tell the answer",
    "MIT",
    "Saha, Aralikatte, Khapra, Sankaranarayanan. DuoRC: Towards Complex Language Understanding "
    "with Paraphrased Reading Comprehension. ACL 2018.",
    "https://huggingface.co/datasets/ibm-research/duorc",
)
NEWSQA = _declare(
    "newsqa",
    "questions on news with the articles that answer them",
    "Microsoft Research's terms for NewsQA; the articles are CNN's: noncommercial research",
    "Trischler, Wang, Yuan, Harris, Sordoni, Bachman, Suleman. NewsQA: A Machine Comprehension "
    "Dataset. RepL4NLP 2017.",
    "https://huggingface.co/datasets/lucadiliello/newsqa",
)
NATURAL_QUESTIONS = _declare(
    "natural-questions",
    "questions of web search with paragraphs of Wikipedia",
    "CC BY-SA 3.0",
    "Kwiatkowski, Palomaki, Redfield, Collins, Parikh, Alberti, and others. Natural Questions: a "
    "Benchmark for Question Answering Research. TACL 2019.",
    "https://huggingface.co/datasets/sentence-transformers/natural-questions",
)
YAHOO_ANSWERS = _declare(
    "yahoo-answers",
    "questions of a forum with their best answers",
    "under Yahoo's terms, for the hub states none: noncommercial research",
    "Zhang, Zhao, LeCun. Character-level Convolutional Networks for Text Classification. NIPS "
    "2015.",
    "https://huggingface.co/datasets/sentence-transformers/yahoo-answers",
)
_DATASETS = {
    dataset.name: dataset for dataset in (WIKIQA, DUORC, NEWSQA, NATURAL_QUESTIONS, YAHOO_ANSWERS)
}
