"""Mr.TyDi's questions with their relevant passages, in 11 languages, from the hub: for training.

Questions are no translations of each other. The files list passages beside the questions; the
corpora themselves are not loaded.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.collection.tables import TitlePolicy
from beir_hybrid.errors import BadData
from beir_hybrid.files import sha256
from beir_hybrid.hub import fetch_hub_file
from beir_hybrid.sources.spec import Dataset, announce

Split = Literal["train", "dev", "test"]

REPOSITORY = "castorini/mr-tydi"
COMMIT = "a05d7f0bf105cb974d293c1d782938074de8d419"
LANGUAGES = {
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian",
    "ja": "japanese", "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu",
    "th": "thai",
}  # fmt: skip


def load(
    languages: tuple[str, ...] | None = None,
    *,
    split: Split = "train",
    title_policy: TitlePolicy = "title+text",
) -> Collection:
    """Return the questions of Mr.TyDi in some languages, with their relevant passages alone."""
    languages = languages or tuple(LANGUAGES)
    options = {"split": split}
    recipe = {
        "dataset": "mr-tydi", "commit": COMMIT, "languages": languages, "options": options,
        "title": title_policy,
    }  # fmt: skip

    def build(writer: CollectionWriter) -> None:
        origins = []
        for lang in languages:
            file = f"mrtydi-v1.1-{LANGUAGES[lang]}/{split}.jsonl.gz"
            path = fetch_hub_file(REPOSITORY, file, COMMIT)
            address = f"hf://datasets/{REPOSITORY}/{file}"
            origins.append(Origin(address, sha256(path), COMMIT, lang))
            _add_file(path, lang, writer)
        announce(MR_TYDI)
        writer.finish(
            licence=MR_TYDI.licence,
            citation=MR_TYDI.citation,
            provenance=origins,
            options=options,
            title_policy=title_policy,
            caveat="the corpora hold relevant passages only: not comparable with published figures",
        )

    return load_or_build("mr-tydi", recipe, build)


def _add_file(path: Path, lang: str, writer: CollectionWriter) -> None:
    """Write the questions of a file that have relevant passages, and each passage once."""
    passages: set[str] = set()
    for number, row in read_json_lines(path):
        location = f"{path} line {number}"
        key, text = require_text(row, "query_id", location), require_text(row, "query", location)
        query = ""
        for docid, title, passage in _read_passages(row, location):
            # Languages number their questions independently: equal ids are no translations.
            query = query or writer.add_query(lang, key, text, f"{lang}:{key}")
            writer.add_judgement(query, f"{lang}:{docid}")
            if docid not in passages:
                passages.add(docid)
                writer.add_passage(lang, docid, title, passage)


def _read_passages(row: Mapping[str, object], location: str) -> Iterator[tuple[str, str, str]]:
    """Yield the ids, titles and texts of a question's relevant passages."""
    passages = row.get("positive_passages")
    if not isinstance(passages, list) or not all(isinstance(entry, dict) for entry in passages):
        raise BadData(f"{location}: 'positive_passages' must be a list of passages")
    for passage in passages:
        yield (
            require_text(passage, "docid", location),
            require_text(passage, "title", location, ""),
            require_text(passage, "text", location),
        )


MR_TYDI = Dataset(
    name="mr-tydi",
    summary="questions by native speakers in 11 languages with their passages, for training",
    load=load,
    languages=tuple(LANGUAGES),
    licence="Apache 2.0 (the passages are Wikipedia's text: CC BY-SA)",
    citation=(
        "Zhang, Ma, Shi, Lin. Mr. TyDi: A Multi-lingual Benchmark for Dense Retrieval. MRL 2021."
    ),
    homepage="https://github.com/castorini/mr.tydi",
)
