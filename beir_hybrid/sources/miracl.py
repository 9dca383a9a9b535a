"""MIRACL: topics and qrels from Anserini's files, corpora from the hub, as one collection.

Its questions are not translations of each other, so it has monolingual settings and, where several
languages are loaded, pools; there are no cross-lingual judgements.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as pa_json

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.collection import TitlePolicy
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.collection.shards import BATCH_ROWS, PASSAGE_SCHEMA, Problems, ShardWriter
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import atomic_file, cache_folder, file_lock, sha256
from beir_hybrid.hub import fetch_hub_file, find_commit
from beir_hybrid.progress import progress_bar
from beir_hybrid.sources.spec import Dataset, announce

logger = logging.getLogger(__name__)

Split = Literal["dev", "train"]
Passages = Literal["all", "judged"]

TOOLS = "5b819c1a45c8a0a3ec9426f476694f44a29dfaf3"
CORPUS = "miracl/miracl-corpus"
CORPUS_REVISION = "d921ec7e349ce0d28daf30b2da9da5ee698bef0d"
# How many files docs-0.jsonl.gz ... a language's corpus has.
SHARDS = {
    "ar": 5, "bn": 1, "de": 32, "en": 66, "es": 21, "fa": 5, "fi": 4, "fr": 30, "hi": 2,
    "id": 3, "ja": 14, "ko": 3, "ru": 20, "sw": 1, "te": 2, "th": 2, "yo": 1, "zh": 10,
}  # fmt: skip
_UNTRAINED = {"de", "yo"}  # the surprise languages have no train split
_JSON = (
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

    ``title_policy="text"`` keeps titles from the models. ``passages="judged"`` restricts the
    corpora to judged passages: good for trying things out, not comparable with anything. `revision`
    is the corpus's commit on the hub, or a branch or tag, whose commit the hub is asked for.
    """
    chosen = languages or tuple(la for la in SHARDS if split == "dev" or la not in _UNTRAINED)
    if split == "train" and (untrained := _UNTRAINED.intersection(chosen)):
        raise BadOption(f"miracl has no train split for {', '.join(sorted(untrained))}")
    commit = find_commit(CORPUS, revision)
    options = {"split": split, "passages": passages, "revision": commit}
    recipe = {"dataset": "miracl", "languages": chosen, "options": options, "title": title_policy}

    remotes = {
        lang: (_remote("topics", lang, split), _remote("qrels", lang, split)) for lang in chosen
    }

    def build(writer: CollectionWriter) -> None:
        for remote in chain.from_iterable(remotes.values()):
            fetch(remote)
        announce(MIRACL)
        origins: list[Origin] = []
        for lang, (topics, qrels) in remotes.items():
            origins += convert(lang, topics, qrels, commit, passages, writer)
        judged = "the corpora hold judged passages only: not comparable with published figures"
        writer.finish(
            licence=MIRACL.licence,
            citation=MIRACL.citation,
            provenance=origins,
            options=options,
            title_policy=title_policy,
            original_ids=True,
            caveat=judged if passages == "judged" else "",
        )

    return load_or_build("miracl", recipe, build)


def convert(
    lang: str,
    topics: Remote,
    qrels: Remote,
    commit: str,
    passages: Passages,
    writer: CollectionWriter,
) -> Iterator[Origin]:
    """Write one language's topics, judgements and passages; yield where they came from."""
    for number, line in _lines(fetch(topics)):
        key, tab, text = line.partition("\t")
        if not tab:
            raise BadData(f"{topics.place} line {number}: expected an id, a tab and a question")
        # Languages number their questions independently: equal ids are no translations.
        writer.add_query(lang, key, text, f"{lang}:{key}")
    judged = set()
    for number, line in _lines(fetch(qrels)):
        try:
            query, _, passage, relevance = line.split()
            writer.add_judgement(f"{lang}:q:{query}", f"{lang}:{passage}", int(relevance))
        except ValueError as error:
            raise BadData(f"{qrels.place} line {number} is no judgement: {line!r}") from error
        judged.add(passage)
    for remote in (topics, qrels):
        yield Origin(remote.url, remote.sha256, TOOLS, lang)
    for number in range(SHARDS[lang]):
        file = f"miracl-corpus-v1.0-{lang}/docs-{number}.jsonl.gz"
        path = fetch_hub_file(CORPUS, file, commit)
        if passages == "judged":
            checksum = sha256(path)
            for docid, title, text in _passages(path):
                if docid in judged:
                    writer.add_passage(lang, docid, title, text)
        else:
            shard = arrow_shard(path, lang, cache_folder() / "corpora" / "miracl" / commit / lang)
            writer.add_passage_file(lang, shard.path, shard.rows)
            checksum = shard.source
        yield Origin(f"hf://datasets/{CORPUS}/{file}", checksum, commit, lang)


@dataclass(frozen=True)
class ArrowShard:
    """A corpus file converted: where, how many rows, and the checksum of what it was made from."""

    path: Path
    rows: int
    source: str


def arrow_shard(source: Path, lang: str, folder: Path) -> ArrowShard:
    """Convert ``docs-N.jsonl.gz`` to ``docs-N.CHECKSUM.arrow`` once.

    The note beside it is written last. While the source's size and time are those of the note, the
    source is not read at all.
    """
    name = source.name.removesuffix(".jsonl.gz")
    note = folder / f"{name}.json"
    with file_lock(folder / name):
        known = _noted(note)
        seen = [source.stat().st_size, source.stat().st_mtime_ns]
        checksum = known["source"] if known.get("seen") == seen else sha256(source)
        path = folder / f"{name}.{checksum[:16]}.arrow"
        made = {"source": checksum, "bytes": path.stat().st_size if path.is_file() else 0}
        if made.items() <= known.items():
            rows = known["rows"]
        else:
            rows = _write_shard(source, lang, path)
            made["bytes"] = path.stat().st_size
        if known != (now := made | {"rows": rows, "seen": seen}):
            with atomic_file(note) as temporary:
                temporary.write_text(json.dumps(now), "utf-8")
    return ArrowShard(path, rows, checksum)


def _noted(note: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(note.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _write_shard(source: Path, lang: str, path: Path) -> int:
    """Convert a corpus file and return how many passages it has."""
    problems = Problems()
    with (
        atomic_file(path) as temporary,
        ShardWriter(temporary, PASSAGE_SCHEMA, lang, problems) as shard,
        progress_bar(f"{lang} {source.name}", None, unit="passages") as advance,
    ):
        prefix = f"{lang}:"
        for docids, titles, texts in _blocks(source):
            shard.extend(pc.binary_join_element_wise(prefix, docids, ""), titles, texts)
            advance(len(docids))
        shard.close()
        problems.raise_if_any(str(source))
    return shard.rows


def _blocks(path: Path) -> Iterator[tuple[pa.Array, pa.Array, pa.Array]]:
    """Yield docids, titles and texts of a corpus file, some thousand passages at a time.

    Arrow's reader is several times as fast as Python's; the latter takes over where the former
    refuses a block, because it can say which line is wrong, and why.
    """
    done = 0
    try:
        with pa.input_stream(str(path)) as file:
            for batch in pa_json.open_json(file, *_JSON):
                batch.validate(full=True)  # UTF-8, which the reader leaves unchecked
                if batch["docid"].null_count or batch["text"].null_count:
                    break
                done += len(batch)
                yield batch["docid"], pc.fill_null(batch["title"], ""), batch["text"]
            else:
                return
    except (pa.ArrowInvalid, OSError) as error:
        logger.debug("%s: Arrow stopped after %d passages: %s", path, done, error)
    rest = islice(_passages(path), done, None)
    while rows := list(islice(rest, BATCH_ROWS)):
        docids, titles, texts = zip(*rows, strict=True)
        yield pa.array(docids), pa.array(titles), pa.array(texts)


def _passages(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield docid, title and text of every line of a corpus file."""
    for number, row in read_json_lines(path):
        try:
            docid, title, text = row["docid"], row["title"] or "", row["text"]
        except KeyError:
            docid = title = text = None
        if not (isinstance(docid, str) and isinstance(title, str) and isinstance(text, str)):
            where = f"{path} line {number}"  # only now: the message costs more than the check
            docid, text = require_text(row, "docid", where), require_text(row, "text", where)
            title = require_text(row, "title", where, "")
        yield docid, title, text


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.isspace():
                yield number, line.rstrip("\r\n")


def _remote(kind: str, lang: str, split: str) -> Remote:
    file = f"{kind}/{kind}.miracl-v1.0-{lang}-{split}.tsv"
    url = f"https://raw.githubusercontent.com/castorini/anserini-tools/{TOOLS}/{file}"
    return Remote(url, _checksums()[file], TOOLS)


@cache
def _checksums() -> dict[str, str]:
    lines = Path(__file__).with_name("miracl.sha256").read_text("ascii").splitlines()
    return {file: checksum for checksum, file in (line.split() for line in lines)}


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
