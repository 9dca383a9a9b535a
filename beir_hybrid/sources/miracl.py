"""MIRACL: topics and qrels from Anserini's files, corpora from the hub, as one collection.

Queries are not translations of each other, so that there are monolingual settings and, where
several languages are loaded, pools, but no cross-lingual ones.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as pa_json

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.collection.shards import BATCH_ROWS, PASSAGE_SCHEMA, Problems, ShardWriter
from beir_hybrid.collection.tables import TitlePolicy
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file, cache_folder, file_lock, sha256
from beir_hybrid.hub import fetch_hub_file, find_commit
from beir_hybrid.integrity import read_sealed_json, record_file, verify_files, write_sealed_json
from beir_hybrid.progress import progress_bar
from beir_hybrid.sources.checksums import read_checksums
from beir_hybrid.sources.spec import Dataset, announce

logger = logging.getLogger(__name__)

Split = Literal["dev", "train"]
Passages = Literal["all", "judged"]

TOOLS_REVISION = "5b819c1a45c8a0a3ec9426f476694f44a29dfaf3"
_MOST_BYTES = 1 << 23  # of topics and qrels
CORPUS = "miracl/miracl-corpus"
CORPUS_REVISION = "d921ec7e349ce0d28daf30b2da9da5ee698bef0d"
# The number of files docs-0.jsonl.gz ... of each language's corpus.
SHARDS = {
    "ar": 5, "bn": 1, "de": 32, "en": 66, "es": 21, "fa": 5, "fi": 4, "fr": 30, "hi": 2,
    "id": 3, "ja": 14, "ko": 3, "ru": 20, "sw": 1, "te": 2, "th": 2, "yo": 1, "zh": 10,
}  # fmt: skip
_TEST_LANGUAGES = {"de", "yo"}  # the surprise languages have no train split
_JSON_OPTIONS = (
    pa_json.ReadOptions(block_size=1 << 23),
    pa_json.ParseOptions(
        explicit_schema=pa.schema([(name, pa.string()) for name in ("docid", "title", "text")]),
        unexpected_field_behavior="ignore",
    ),
)


def load(
    languages: tuple[str, ...] | None = None,
    *,
    split: Split = "dev",
    title_policy: TitlePolicy = "title+text",
    passages: Passages = "all",
    revision: str = CORPUS_REVISION,
) -> Collection:
    """Return MIRACL in some languages.

    ``title_policy="text"`` hides titles from models. ``passages="judged"`` restricts the corpora to
    judged passages: good for trials, not comparable with published figures. `revision` is the
    corpus's commit on the hub, or a branch or tag, whose commit the hub is asked for.
    """
    languages = _check_languages(languages, split)
    commit = find_commit(CORPUS, revision)
    options = {"split": split, "passages": passages, "revision": commit}
    remotes = {
        lang: (_find_remote("topics", lang, split), _find_remote("qrels", lang, split))
        for lang in languages
    }
    recipe = {
        "dataset": "miracl", "languages": languages, "options": options, "title": title_policy,
        "files": [remote.sha256 for remote in chain.from_iterable(remotes.values())],
    }  # fmt: skip

    def build(writer: CollectionWriter) -> None:
        for remote in chain.from_iterable(remotes.values()):
            fetch(remote)
        announce(MIRACL)
        origins: list[Origin] = []
        for lang, (topics, qrels) in remotes.items():
            origins += convert(lang, topics, qrels, commit, passages, writer)
        caveat = "the corpora hold judged passages only: not comparable with published figures"
        writer.finish(
            licence=MIRACL.licence,
            citation=MIRACL.citation,
            provenance=origins,
            options=options,
            title_policy=title_policy,
            original_ids=True,
            caveat=caveat if passages == "judged" else "",
        )

    return load_or_build("miracl", recipe, build)


def _check_languages(languages: tuple[str, ...] | None, split: Split) -> tuple[str, ...]:
    """Return the languages to load; raise `BadOption` for languages without the split."""
    if languages is None:
        return tuple(lang for lang in SHARDS if split == "dev" or lang not in _TEST_LANGUAGES)
    if split == "train" and (absent := _TEST_LANGUAGES.intersection(languages)):
        raise BadOption(f"miracl has no train split for {', '.join(sorted(absent))}")
    return languages


def convert(
    lang: str,
    topics: Remote,
    qrels: Remote,
    commit: str,
    passages: Passages,
    writer: CollectionWriter,
) -> Iterator[Origin]:
    """Write one language's queries, judgements and passages; yield the files that they are in."""
    for number, line in _read_text_lines(fetch(topics)):
        key, tab, text = line.partition("\t")
        if not tab:
            raise BadData(f"{topics.place} line {number}: expected an id, a tab and a question")
        # Languages number their queries independently: equal ids are no translations.
        writer.add_query(lang, key, text, f"{lang}:{key}")
    judged_passages = set()
    for number, line in _read_text_lines(fetch(qrels)):
        try:
            query, _, passage, relevance = line.split()
            writer.add_judgement(f"{lang}:q:{query}", f"{lang}:{passage}", int(relevance))
        except ValueError as error:
            raise BadData(f"{qrels.place} line {number} is no judgement: {line!r}") from error
        judged_passages.add(passage)
    for remote in (topics, qrels):
        yield Origin(remote.url, remote.sha256, TOOLS_REVISION, lang)
    for number in range(SHARDS[lang]):
        file = f"miracl-corpus-v1.0-{lang}/docs-{number}.jsonl.gz"
        path = fetch_hub_file(CORPUS, file, commit)
        if passages == "judged":
            checksum = sha256(path)
            for docid, title, text in _read_passages(path):
                if docid in judged_passages:
                    writer.add_passage(lang, docid, title, text)
        else:
            folder = cache_folder() / "corpora" / "miracl" / commit / lang
            shard = convert_to_arrow(path, lang, folder)
            writer.add_passage_file(lang, shard.path, shard.rows)
            checksum = shard.source
        yield Origin(f"hf://datasets/{CORPUS}/{file}", checksum, commit, lang)


@dataclass(frozen=True)
class ArrowShard:
    """A corpus file in Arrow's format: its path, its rows, and the checksum of its source."""

    path: Path
    rows: int
    source: str


def convert_to_arrow(source: Path, lang: str, folder: Path) -> ArrowShard:
    """Convert ``docs-N.jsonl.gz`` to ``docs-N.CHECKSUM.arrow`` once.

    The note beside the Arrow file is written last. As long as the source has the size and time of
    the note, the source is not read at all.
    """
    name = source.name.removesuffix(".jsonl.gz")
    note_path = folder / f"{name}.json"
    with file_lock(folder / name):
        note = _read_note(note_path)
        state = [source.stat().st_size, source.stat().st_mtime_ns]
        checksum = str(note["source"]) if note.get("seen") == state else sha256(source)
        path = folder / f"{name}.{checksum[:16]}.arrow"
        if note.get("source") == checksum and _is_sound(path, note):
            rows, record = note["rows"], note["file"]
        else:
            rows = _write_shard(source, lang, path)
            record = record_file(path)
        new_note = {"source": checksum, "file": record, "rows": rows, "seen": state}
        if note != new_note:
            write_sealed_json(note_path, new_note)
    return ArrowShard(path, rows, checksum)


def _read_note(path: Path) -> dict[str, Any]:
    """Return the note beside an Arrow file; empty for a missing or damaged one."""
    try:
        return read_sealed_json(path, "it is made anew")
    except BadData:
        return {}


def _is_sound(path: Path, note: Mapping[str, Any]) -> bool:
    """Return whether an Arrow file agrees with the note beside it."""
    try:
        verify_files(path.parent, {path.name: note["file"]}, "it is made anew")
    except (BadData, KeyError, TypeError):
        return False
    return True


def _write_shard(source: Path, lang: str, path: Path) -> int:
    """Convert a corpus file and return the number of its passages."""
    problems = Problems()
    with (
        atomic_file(path) as temporary,
        ShardWriter(temporary, PASSAGE_SCHEMA, lang, problems) as shard,
        progress_bar(f"{lang} {source.name}", None, unit="passages") as advance,
    ):
        prefix = f"{lang}:"
        for docids, titles, texts in _read_batches(source):
            shard.extend(pc.binary_join_element_wise(prefix, docids, ""), titles, texts)
            advance(len(docids))
        shard.close()
        problems.raise_if_any(str(source))
    return shard.rows


def _read_batches(path: Path) -> Iterator[tuple[pa.Array, pa.Array, pa.Array]]:
    """Yield docids, titles and texts of a corpus file, some thousand passages at a time.

    Arrow's reader is several times as fast as Python's. Where Arrow refuses a block, Python takes
    over, because it can name the line that is wrong and the reason.
    """
    count = 0
    try:
        with pa.input_stream(str(path)) as file:
            for batch in pa_json.open_json(file, *_JSON_OPTIONS):
                batch.validate(full=True)  # UTF-8, which the reader leaves unchecked
                if batch["docid"].null_count or batch["text"].null_count:
                    break
                count += len(batch)
                yield batch["docid"], pc.fill_null(batch["title"], ""), batch["text"]
            else:
                return
    except (pa.ArrowInvalid, OSError) as error:
        logger.debug("%s: Arrow stopped after %d passages: %s", path, count, error)
    rest = islice(_read_passages(path), count, None)
    while rows := list(islice(rest, BATCH_ROWS)):
        docids, titles, texts = zip(*rows, strict=True)
        yield pa.array(docids), pa.array(titles), pa.array(texts)


def _read_passages(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield docid, title and text of every line of a corpus file."""
    for number, row in read_json_lines(path):
        try:
            docid, title, text = row["docid"], row["title"] or "", row["text"]
        except KeyError:
            docid = title = text = None
        if not (isinstance(docid, str) and isinstance(title, str) and isinstance(text, str)):
            location = f"{path} line {number}"  # only now: the message costs more than the check
            docid, text = require_text(row, "docid", location), require_text(row, "text", location)
            title = require_text(row, "title", location, "")
        yield docid, title, text


def _read_text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not blank, and their numbers, from 1."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.isspace():
                yield number, line.rstrip("\r\n")


def _find_remote(kind: str, lang: str, split: str) -> Remote:
    file = f"{kind}/{kind}.miracl-v1.0-{lang}-{split}.tsv"
    url = f"https://raw.githubusercontent.com/castorini/anserini-tools/{TOOLS_REVISION}/{file}"
    return Remote(url, read_checksums("miracl.sha256")[file], TOOLS_REVISION, _MOST_BYTES)


MIRACL = Dataset(
    name="miracl",
    summary="questions by native speakers over Wikipedia, 18 languages, 106 million passages",
    load=load,
    languages=tuple(SHARDS),
    licence="Apache 2.0 (the corpora are Wikipedia's text: CC BY-SA)",
    citation=(
        "Zhang, Thakur, Ogundepo, Kamalloo, Alfonso-Hermelo, Li, Liu, Rezagholizadeh, Lin. "
        "MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages. TACL 2023."
    ),
    homepage="https://project-miracl.github.io",
)
