"""MFAQ: questions with answers from web pages in 21 languages, from the hub: for training.

Pages are no translations of each other: groups have one language each.
"""

from pathlib import Path
from typing import Literal

from beir_hybrid.checks import check_not_negative
from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.errors import BadData
from beir_hybrid.files import sha256
from beir_hybrid.hub import fetch_hub_file
from beir_hybrid.sources.bad_rows import BadRows
from beir_hybrid.sources.question_pairs import CAVEAT, PairWriter
from beir_hybrid.sources.spec import Dataset, announce

Split = Literal["train", "valid"]

REPOSITORY = "clips/mfaq"
COMMIT = "6f54ac471fc9a70121f118ad7b11b059d4674296"
LANGUAGES = (
    *("cs", "da", "de", "en", "es", "fi", "fr", "he", "hr", "hu", "id", "it", "nl", "no", "pl"),
    *("pt", "ro", "ru", "sv", "tr", "vi"),
)


def load(
    languages: tuple[str, ...] | None = None, *, split: Split = "train", queries: int = 0
) -> Collection:
    """Return MFAQ in some languages.

    `queries` is how many questions of each language to take, in the order of its file; 0 takes all.
    """
    check_not_negative(queries=queries)
    languages = languages or LANGUAGES
    options = {"split": split, "queries": queries}
    recipe = {"dataset": "mfaq", "commit": COMMIT, "languages": languages, "options": options}

    def build(writer: CollectionWriter) -> None:
        origins, bad_rows = [], BadRows("drop")
        for lang in languages:
            file = f"data/{lang}/{split}.jsonl"
            path = fetch_hub_file(REPOSITORY, file, COMMIT)
            address = f"hf://datasets/{REPOSITORY}/{file}"
            origins.append(Origin(address, sha256(path), COMMIT, lang))
            _add_file(path, PairWriter(writer, lang, queries, bad_rows))
        announce(MFAQ)
        writer.finish(
            licence=MFAQ.licence,
            citation=MFAQ.citation,
            provenance=origins,
            options=options | bad_rows.record(writer),
            title_policy="text",
            caveat=CAVEAT,
        )

    return load_or_build("mfaq", recipe, build)


def _add_file(path: Path, pairs: PairWriter) -> None:
    """Write the pairs of a file, whose lines are pages."""
    for number, page in read_json_lines(path):
        location = f"{path} line {number}"
        rows = page.get("qa_pairs")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadData(f"{location}: 'qa_pairs' must be a list of questions with answers")
        for row in rows:
            question, answer = (
                require_text(row, key, location, "") for key in ("question", "answer")
            )
            pairs.add(question, "", answer, location)


MFAQ = Dataset(
    name="mfaq",
    summary="6 million questions with answers of web pages in 21 languages, for training",
    load=load,
    languages=LANGUAGES,
    licence="CC0 for the packaging; the texts belong to their authors",
    citation="De Bruyn, Lotfi, Buhmann, Daelemans. MFAQ: a Multilingual FAQ Dataset. MRQA 2021.",
    homepage="https://huggingface.co/datasets/clips/mfaq",
)
