"""Mine hard negatives for training groups: the best passages of a query that are not its own."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import xxhash

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows
from beir_hybrid.curation.miner import (
    MARGIN_DEPTH,
    LanguageNegatives,
    Miner,
    MiningOptions,
    ScorePairs,
)
from beir_hybrid.curation.steps import Counts, StepRecord, run_step
from beir_hybrid.curation.text_columns import ColumnBuilder, TextColumns, add_texts
from beir_hybrid.curation.text_groups import read_groups, write_row
from beir_hybrid.encoding import as_encoder
from beir_hybrid.encoding.encoder import Encoder
from beir_hybrid.encoding.engines import open_cluster, parallel_encoder
from beir_hybrid.encoding.pair_scorer import PairScorer, score_pairs
from beir_hybrid.encoding.store import encode_rows
from beir_hybrid.errors import BadData
from beir_hybrid.evaluation.rerankers.selection import open_text_scorer
from beir_hybrid.evaluation.rerankers.text_pairs import format_text_pair
from beir_hybrid.languages import normalise
from beir_hybrid.pairs.labels import hash_texts
from beir_hybrid.retrieval.sharding import choose_ranker

REASON = "no negatives"  # against a passage
_PAIRS = 1 << 16  # whose texts are in memory at once
_CHUNK = 4096  # passages that become Python objects at once


def mine_negatives(
    pairs: str | Path,
    output: str | Path,
    model: object,
    *,
    corpus: Collection | None = None,
    rerank: object = None,
    engine: str = "local",
    **options: Any,
) -> StepRecord:
    """Write the groups of a file with hard negatives for each passage, found by a model.

    Every query is ranked exactly against all passages of the file, and of a collection if there is
    one. Its golds are left out: passages of all groups with the same query, in any language,
    and whatever some group has as their translation. A passage without a negative is left out,
    and its group with the last one; ``.dropped.jsonl`` holds them. Negatives that a group has
    already are replaced.

    Parameters
    ----------
    pairs
        A file of groups, as `read_pairs` reads it.
    output
        The file to write, ``.jsonl``.
    model
        An encoder of any family; see `as_encoder`.
    corpus
        A collection whose passages may be negatives too.
    rerank
        A cross-encoder (its name or folder, or a ``CrossEncoder``) or an endpoint that scores the
        candidates and the golds: negatives are the best by its scores, which ``relative_margin``
        and ``max_score`` are then about.
    engine
        Where to compute: ``local``, or ``ray``.
    options
        Fields of `MiningOptions`.
    """
    settings = MiningOptions(**options)
    encoder = as_encoder(model)
    scorer = None if rerank is None else open_text_scorer(rerank)
    if scorer and settings.range_max is None:  # the order needs more candidates than negatives
        settings = replace(
            settings, range_max=settings.range_min + settings.negatives * MARGIN_DEPTH
        )
    path = Path(pairs)
    request = {
        **asdict(settings),
        "model": dict(encoder.fingerprint),
        "corpus": None if corpus is None else [corpus.name, _hash_passages(corpus)],
        "rerank": None if scorer is None else dict(scorer.fingerprint),
    }

    def write(groups: TextIO, dropped: TextIO) -> Counts:
        passages, negatives = _find_negatives(path, encoder, settings, corpus, engine, scorer)
        return _write_groups(path, passages, negatives, groups, dropped)

    return run_step("mine", path, Path(output), request, write)


def _find_negatives(
    path: Path,
    encoder: Encoder,
    options: MiningOptions,
    corpus: Collection | None,
    engine: str,
    scorer: PairScorer | None,
) -> tuple[TextColumns, dict[str, LanguageNegatives]]:
    """Return the passages of a file and a collection, and the negatives of each language's."""
    query_builder, passage_builder = ColumnBuilder(), ColumnBuilder()
    n_groups = add_texts(query_builder, read_groups(path), "query")
    add_texts(passage_builder, read_groups(path), "positive")
    if corpus is not None:
        _add_corpus(passage_builder, corpus)
    queries, passages = query_builder.build(), passage_builder.build()
    if not len(queries.texts) or not len(passages.texts):
        raise BadData(f"{path} has no queries with passages")
    with open_cluster(engine) as cluster, parallel_encoder(encoder, cluster) as parallel:
        miner = Miner(
            queries,
            passages,
            encode_rows(parallel, queries.texts, "queries"),
            encode_rows(parallel, passages.texts, "passages"),
            n_groups,
            options,
            choose_ranker(cluster),
            None if scorer is None else _score_texts(scorer, queries.texts, passages.texts),
        )
        langs = [lang for lang, groups in passages.groups.items() if len(groups)]
        return passages, {lang: miner.mine_language(lang) for lang in langs}


def _score_texts(
    scorer: PairScorer, queries: pa.ChunkedArray, passages: pa.ChunkedArray
) -> ScorePairs:
    """Return a function that scores pairs of rows of queries and passages, some at a time."""

    def score(query_rows: np.ndarray, passage_rows: np.ndarray) -> np.ndarray:
        scores = np.empty(len(query_rows), np.float32)
        for start in range(0, len(query_rows), _PAIRS):
            part = slice(start, start + _PAIRS)
            texts = (
                take_rows(column, rows[part]).to_pylist()
                for column, rows in ((queries, query_rows), (passages, passage_rows))
            )
            pairs = [format_text_pair(*pair) for pair in zip(*texts, strict=True)]
            scores[part] = score_pairs(scorer, pairs)
        return scores

    return score


def _hash_passages(corpus: Collection) -> str:
    """Return a checksum of the texts and languages of a collection's passages."""
    passages = corpus.view().passages
    checksum = xxhash.xxh3_128(hash_texts(join_titles(passages)).tobytes())
    checksum.update(hash_texts(passages["lang"]).tobytes())
    return checksum.hexdigest()


def _add_corpus(builder: ColumnBuilder, corpus: Collection) -> None:
    """Add the passages of a collection, which belong to no group."""
    passages = corpus.view().passages
    for batch in passages.to_batches(_CHUNK):
        table = pa.Table.from_batches([batch])
        for lang, text in zip(
            table["lang"].to_pylist(), join_titles(table).to_pylist(), strict=True
        ):
            if text.strip():
                builder.add(normalise(lang), text)


def _write_groups(
    path: Path,
    passages: TextColumns,
    negatives: Mapping[str, LanguageNegatives],
    groups: TextIO,
    dropped: TextIO,
) -> Counts:
    """Write groups with their negatives, and passages and groups without any; return counts."""
    counts: Counter[str] = Counter()
    missing_counts: Counter[str] = Counter()
    for number, group in enumerate(read_groups(path)):
        texts = {
            lang: [passages.texts[row].as_py() for row in negatives[lang].list_rows(number)]
            for lang, text in group.positive.items()
            if text.strip()
        }
        missing = [lang for lang in group.positive if not texts.get(lang)]
        missing_counts.update(missing)
        for lang in missing:
            row = {"id": group.id, "reason": REASON, "part": "positive", "language": lang}
            write_row(dropped, {**row, "text": group.positive[lang]})
        rest = group.without_texts(("positive", lang) for lang in missing)
        counts["groups"] += 1
        if not rest.is_complete:
            write_row(dropped, {"id": group.id, "reason": "incomplete", "group": group.to_row()})
            continue
        counts["kept"] += 1
        extras = {**rest.extras, "negative": {lang: texts[lang] for lang in rest.positive}}
        write_row(groups, replace(rest, extras=extras).to_row())
    return {
        "groups": counts["groups"],
        "kept": counts["kept"],
        "negatives by languages": {
            lang: _count_languages(passages, by_language.rows)
            for lang, by_language in negatives.items()
        },
        "without negatives": dict(sorted(missing_counts.items())),
    }


def _count_languages(passages: TextColumns, rows: np.ndarray) -> dict[str, int]:
    """Count the negatives of each language."""
    counts = {
        lang: int(((rows >= span.start) & (rows < span.stop)).sum())
        for lang, span in passages.ranges.items()
    }
    return {lang: count for lang, count in counts.items() if count}
