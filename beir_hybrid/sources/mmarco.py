"""mMARCO: MS MARCO's passages and questions, machine-translated into 13 languages, from the hub.

Ids are the same in all languages, so that questions and passages are parallel: training data for
hybrid batches that need no translator.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Literal

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.lines import read_lines
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import sha256
from beir_hybrid.hub import fetch_hub_file
from beir_hybrid.sources.bad_rows import BadRows
from beir_hybrid.sources.spec import Dataset, announce

logger = logging.getLogger(__name__)

Split = Literal["train", "dev"]
Passages = Literal["judged", "all"]

REPOSITORY = "unicamp-dl/mmarco"
COMMIT = "4618200568100aa0bf7fbf494d8d022e7ecab9a6"
LANGUAGES = {
    "ar": "arabic", "de": "german", "en": "english", "es": "spanish", "fr": "french",
    "hi": "hindi", "id": "indonesian", "it": "italian", "ja": "japanese", "nl": "dutch",
    "pt": "portuguese", "ru": "russian", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
# The files of judgements: lines of query, passage and negative, or of TREC's four columns.
_JUDGEMENTS = {"train": "data/triples.train.ids.small.tsv", "dev": "data/qrels.dev.small.tsv"}
_COLUMNS = {"train": (3, 0, 1), "dev": (4, 0, 2)}  # how many; those of query and passage


def load(
    languages: tuple[str, ...] | None = None,
    *,
    split: Split = "train",
    passages: Passages = "judged",
    queries: int = 0,
) -> Collection:
    """Return mMARCO in some languages.

    Of ``train`` the questions that have triples, of ``dev`` the 6,980 of its small part.
    ``passages="judged"`` leaves out passages that answer no question: for training they are not
    needed. `queries` is how many questions to take, in the order of the file; 0 takes all.
    """
    if queries < 0:
        raise BadOption(f"queries is {queries}; it must be a whole number from 0 on")
    languages = languages or tuple(LANGUAGES)
    options = {"split": split, "passages": passages, "queries": queries}
    recipe = {"dataset": "mmarco", "commit": COMMIT, "languages": languages, "options": options}

    def build(writer: CollectionWriter) -> None:
        origins: list[Origin] = []
        golds = _read_golds(_fetch(_JUDGEMENTS[split], "", origins), split, queries)
        announce(MMARCO)
        query_files, gold_keys = {}, _GoldKeys(set(chain.from_iterable(golds.values())))
        for lang in languages:
            name = LANGUAGES[lang]
            file = f"data/google/queries/{split}/{name}_queries.{split}.tsv"
            query_files[lang] = _fetch(file, lang, origins)
            path = _fetch(f"data/google/collections/{name}_collection.tsv", lang, origins)
            _add_passages(path, lang, gold_keys, writer, takes_all=passages == "all")
        golds, record = _drop_golds(golds, gold_keys.blank - gold_keys.filled, writer)
        for lang, path in query_files.items():
            _add_queries(path, lang, golds, writer)
        writer.expand_judgements()
        caveat = "the corpora hold judged passages only: not comparable with published figures"
        writer.finish(
            licence=MMARCO.licence,
            citation=MMARCO.citation,
            provenance=origins,
            options=options | record,
            title_policy="text",
            caveat=caveat if passages == "judged" else "",
        )

    return load_or_build("mmarco", recipe, build)


def _fetch(file: str, lang: str, origins: list[Origin]) -> Path:
    """Return the path of a file of the hub, and add its origin."""
    path = fetch_hub_file(REPOSITORY, file, COMMIT)
    origins.append(Origin(f"hf://datasets/{REPOSITORY}/{file}", sha256(path), COMMIT, lang))
    return path


def _read_golds(path: Path, split: Split, limit: int) -> dict[str, dict[str, None]]:
    """Return the relevant passages of each query; a triple's negative is not looked at."""
    width, query_column, passage_column = _COLUMNS[split]
    golds: dict[str, dict[str, None]] = {}
    previous = b""
    for number, line in read_lines(path):
        pair = line.rpartition(b"\t")[0]
        if pair == previous:  # of the same query and passage there are many triples
            continue
        columns = line.decode("utf-8", "replace").split()
        if len(columns) != width:
            raise BadData(f"{path} line {number} has {len(columns)} columns; expected {width}")
        query, passage = columns[query_column], columns[passage_column]
        if query not in golds and limit and len(golds) == limit:
            continue
        golds.setdefault(query, {})[passage] = None
        previous = pair
    return golds


def _add_queries(
    path: Path, lang: str, golds: dict[str, dict[str, None]], writer: CollectionWriter
) -> None:
    """Write the queries of a file that have relevant passages."""
    for key, text in _read_texts(path):
        if text and key in golds:
            query = writer.add_query(lang, key, text, key)
            for passage in golds[key]:
                writer.add_judgement(query, passage)


class _GoldKeys:
    """The keys of relevant passages, and of those that are blank or a text in some language."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys
        self.blank: set[str] = set()
        self.filled: set[str] = set()


def _add_passages(
    path: Path, lang: str, golds: _GoldKeys, writer: CollectionWriter, *, takes_all: bool
) -> None:
    """Write the passages of a file, or those that are relevant to some query."""
    for key, text in _read_texts(path):
        is_gold = key in golds.keys
        if is_gold:
            (golds.filled if text else golds.blank).add(key)
        if text and (is_gold or takes_all):
            writer.add_passage(lang, key, "", text)


def _drop_golds(
    golds: Mapping[str, Iterable[str]], textless_keys: set[str], writer: CollectionWriter
) -> tuple[dict[str, dict[str, None]], dict[str, object]]:
    """Leave out passages without text, and queries without another relevant passage; count both."""
    bad_rows = BadRows("drop")
    for key in textless_keys:
        bad_rows.note("relevant passages without text", key)
    rest: dict[str, dict[str, None]] = {}
    for query, keys in golds.items():
        if keys_with_text := dict.fromkeys(key for key in keys if key not in textless_keys):
            rest[query] = keys_with_text
        else:
            bad_rows.note("queries without a relevant passage", query)
    return rest, bad_rows.record(writer)


def _read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the ids and texts of a file; blank texts are empty, and counted with a warning."""
    n_blank = 0
    for number, line in read_lines(path):
        try:
            key, tab, text = line.decode("utf-8").rstrip("\r\n").partition("\t")
        except UnicodeDecodeError as error:
            raise BadData(f"{path} line {number} is not UTF-8: {error}") from error
        if not tab:
            raise BadData(f"{path} line {number}: expected an id, a tab and a text")
        n_blank += not text.strip()
        yield key, text if text.strip() else ""
    if n_blank:
        logger.warning("%s: %d texts are blank, and count as missing translations", path, n_blank)


MMARCO = Dataset(
    name="mmarco",
    summary="MS MARCO's questions and passages in 14 languages, parallel, for training",
    load=load,
    languages=tuple(LANGUAGES),
    licence="Apache 2.0; MS MARCO itself: noncommercial research",
    citation=(
        "Bonifacio, Jeronymo, Abonizio, Campiotti, Fadaee, Lotufo, Nogueira. mMARCO: A "
        "Multilingual Version of the MS MARCO Passage Ranking Dataset. 2021."
    ),
    homepage="https://github.com/unicamp-dl/mMARCO",
)
