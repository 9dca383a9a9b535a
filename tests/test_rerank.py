"""Reranking is, to the last tie, the cross-encoder's own order of each ranking's first passages."""
# mypy: allow-untyped-calls

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import AP, RR, Bpref, Judged, Measure, P, R, nDCG
from sentence_transformers import CrossEncoder

import beir_hybrid as bh
from beir_hybrid.collection import Collection, View
from beir_hybrid.encoding import EncodingStats
from beir_hybrid.encoding.pair_scorer import score_pairs
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.rerankers.cross_encoder import CrossEncoderScorer
from beir_hybrid.measures.language_exposure import LanguageExposure
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.measures.same_language_share import SameLanguageShare
from beir_hybrid.results.results import Results
from beir_hybrid.retrieval.runs import read_run
from tests.models import transformer_model

PLAIN: list[Measure] = [AP, nDCG @ 10, R @ 3, P @ 5, RR, RR @ 5, Judged @ 4, Bpref]
BIASED: list[Measure] = [RankDistance, SameLanguageShare @ 4, LanguageExposure @ 3]


class Words:
    """An encoder that counts words, so that many scores tie."""

    fingerprint: Mapping[str, Any] = {"kind": "words"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 12), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[int(word[1:]) % 12] += 1
        return rows

    encode_passages = encode_queries


def cross_encoder(folder: Path, labels: int = 1, seed: int = 3) -> CrossEncoder:
    """Return a BERT of one layer that reads pairs, with weights large enough to tell them apart."""
    from transformers import AutoConfig, BertForSequenceClassification

    transformer_model(folder)  # its tokenizer and configuration
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(folder, num_labels=labels, initializer_range=0.6)
    BertForSequenceClassification(config).save_pretrained(folder)
    return CrossEncoder(str(folder), device="cpu")


@pytest.fixture
def model(tmp_path: Path) -> CrossEncoder:
    return cross_encoder(tmp_path / "model")


def small() -> Collection:
    """Make questions in three languages; passages repeat, so that reranked scores tie too."""
    draw = np.random.default_rng(4)
    corpus, queries, qrels = {}, {}, {}
    for lang, size in (("de", 30), ("en", 24), ("th", 9)):
        for number in range(size):
            text = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
            corpus[f"{lang}:{number}"] = {"title": "w5" if number % 7 == 0 else "", "text": text}
    for number, lang in product(range(5), ("de", "en", "th")):
        queries[f"{lang}:q:{number}"] = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
        golds = {f"{other}:{number}": 1 for other in ("de", "en", "th")}
        qrels[f"{lang}:q:{number}"] = golds | {f"en:{number + 8}": 2, f"de:{number + 9}": 0}
    queries["de:q:4"] = queries["de:q:3"]
    return bh.from_beir(corpus, queries, qrels, name="small")


def text_of(document: Mapping[str, str]) -> str:
    return " ".join(part for part in (document["title"], document["text"]) if part)


class Judge:
    """A cross-encoder that scores each pair once."""

    def __init__(self, model: CrossEncoder) -> None:
        self.model, self.known = model, dict[tuple[str, str], float]()

    def learn(self, query: str, texts: Sequence[str]) -> None:
        pairs = [(query, text) for text in dict.fromkeys(texts) if (query, text) not in self.known]
        if pairs:
            scores = self.model.predict(pairs, show_progress_bar=False).tolist()
            self.known.update(zip(pairs, scores, strict=True))

    def __call__(self, query: str, text: str) -> float:
        return self.known[query, text]


def ranking(view: View, judge: Judge, depth: int, *, descending: bool) -> dict[str, list[str]]:
    """Return each query's passages in the order that reranking has to give."""
    corpus, queries, _ = view.to_beir()
    encoder = Words()
    texts = [text_of(document) for document in corpus.values()]
    found = encoder.encode_queries(list(queries.values())) @ encoder.encode_passages(texts).T
    orders = {}
    for (query, asked), row in zip(queries.items(), found.tolist(), strict=True):
        first = dict(zip(corpus, row, strict=True))
        order = sorted(first, key=lambda key: (first[key], key), reverse=True)
        top, rest = order[:depth], order[depth:]
        judge.learn(asked, [text_of(corpus[key]) for key in top])
        score = {key: judge(asked, text_of(corpus[key])) for key in top}
        top = sorted(top, reverse=descending)
        orders[query] = sorted(top, key=lambda key: -score[key]) + rest
    return orders


def as_run(orders: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    return {
        query: {key: float(-rank) for rank, key in enumerate(order)}
        for query, order in orders.items()
    }


def expected(view: View, judge: Judge, depth: int, seen: bool) -> dict[Any, float]:
    """Return ir-measures' value of every measure and query."""
    down = ranking(view, judge, depth, descending=True)
    up = ranking(view, judge, depth, descending=False)
    _, _, qrels = view.to_beir()
    names = {query: str(number) for number, query in enumerate(down)}
    found = {}
    for measure in [*PLAIN, *(BIASED if seen else [])]:
        # These two break ties the other way.
        order = up if measure in (RR @ 5, Judged @ 4) else down
        if measure == Bpref:  # sees the run, which ends at the depth
            order = {query: keys[:depth] for query, keys in order.items()}
        rename = {query: query for query in names} if measure in BIASED else names
        asked = {rename[query]: qrels[query] for query in names}
        run = {rename[query]: keys for query, keys in as_run(order).items()}
        for metric in ir_measures.iter_calc([measure], asked, run):
            back = {new: old for old, new in rename.items()}[metric.query_id]
            found[measure, back] = metric.value
    return found


@pytest.mark.parametrize("depth", [5, 12, 500])
def test_every_setting_is_reranked(model: CrossEncoder, tmp_path: Path, depth: int) -> None:
    collection, runs, judge = small(), tmp_path / "runs", Judge(model)
    results = evaluate(
        Words(), collection, measures=[*PLAIN, *BIASED], rerank=model, depth=depth, runs=runs
    )
    table = results.per_query().to_pylist()
    assert len(results.settings) == 12
    for setting in results.settings:
        view = collection.view(setting.queries, None if setting.kind == "multi" else setting[2])
        wanted = expected(view, judge, depth, seen=setting.kind == "multi")
        rows = [row for row in table if (row["queries"], row["passages"]) == setting[1:]]
        found = {(m, row["query"]): row[str(m)] for row in rows for m in PLAIN + BIASED}
        assert {key: found[key] for key in wanted} == pytest.approx(wanted, abs=1e-9), setting
        orders = ranking(view, judge, depth, descending=True)
        run = read_run(runs / f"{view.name}.trec")
        assert {query: list(scores) for query, scores in run.items()} == {
            query: order[:depth] for query, order in orders.items()
        }
        corpus, queries, _ = view.to_beir()
        for query, scores in run.items():
            mine = {key: judge(queries[query], text_of(corpus[key])) for key in scores}
            assert scores == pytest.approx(mine, abs=1e-5)


def test_reranking_changes_the_order_and_ties_are_there(model: CrossEncoder) -> None:
    view, judge = small().view("en"), Judge(model)
    orders = ranking(view, judge, 12, descending=True)
    plain = ranking(view, judge, 0, descending=True)
    corpus, queries, _ = view.to_beir()
    assert all(orders[query][:12] != plain[query][:12] for query in orders)
    scores = [[judge(queries[q], text_of(corpus[key])) for key in orders[q][:12]] for q in orders]
    assert any(one == two for row in scores for one, two in pairwise(row))


def test_equal_pairs_are_scored_once_and_kept(model: CrossEncoder, tmp_path: Path) -> None:
    collection, store = small(), tmp_path / "store"

    def scored(model: CrossEncoder, **options: Any) -> int:
        results = evaluate(Words(), collection, measures=[AP], rerank=model, store=store, **options)
        return results.timing.reranked_pairs or 0

    judge = Judge(model)
    for view in (collection.view(q, p) for q in collection.languages for p in (q, None)):
        ranking(view, judge, 6, descending=True)
    pairs = judge.known
    assert scored(model, settings=["mono", "multi"], depth=6) == len(pairs)
    assert scored(model, settings=["mono", "multi"], depth=6) == 0
    # The same model read again from its folder, and fewer of the same pairs.
    assert scored(CrossEncoder(str(tmp_path / "model"), device="cpu"), depth=2) > 0  # cross
    assert scored(CrossEncoder(str(tmp_path / "model"), device="cpu"), depth=2) == 0
    other = cross_encoder(tmp_path / "other", seed=5)
    assert scored(other, settings=["mono", "multi"], depth=6) == len(pairs)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    assert scored(other, settings=["mono", "multi"], depth=6) == len(pairs)
    other.max_seq_length = 5
    assert scored(other, settings=["mono", "multi"], depth=6) == len(pairs)
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_a_folder_s_name_is_enough(model: CrossEncoder, tmp_path: Path) -> None:
    collection = small()
    by_name = evaluate(Words(), collection, measures=[AP], rerank=str(tmp_path / "model"), depth=9)
    loaded = evaluate(Words(), collection, measures=[AP], rerank=model, depth=9)
    assert by_name.per_query() == loaded.per_query()
    assert by_name.provenance.reranker is not None
    assert by_name.provenance.reranker.name == str(tmp_path / "model")
    assert by_name.provenance.reranker.depth == 9


def test_pairs_that_are_cut_are_counted(model: CrossEncoder, tmp_path: Path) -> None:
    # A pair has a token a word, one before it and one after; see `transformer_model`.
    scores = CrossEncoderScorer(model)
    model.max_seq_length = 6
    pairs = [json.dumps(["w1 w2", "w3 " * n]) for n in (1, 2, 3, 9)]
    kept = [len(model.tokenizer(*json.loads(pair))["input_ids"]) for pair in pairs]
    assert scores.find_truncated(pairs) == [at for at, n in enumerate(kept) if n > 6]
    assert kept[3] > 6 >= kept[0]
    encoded = EncodingStats()
    score_pairs(scores, pairs, folder=tmp_path, stats=encoded)
    assert encoded.truncated == sum(n > 6 for n in kept)


def test_texts_may_hold_any_character(model: CrossEncoder) -> None:
    corpus = {"1": {"text": 'w1 \x00 "w2"'}, "2": {"text": "w3\x00\x00w4"}, "3": {"text": "w1"}}
    collection = bh.from_beir(corpus, {"q": "w1\x00w2"}, {"q": {"2": 1}}, "en")
    found = evaluate(Flat(), collection, measures=[RR], rerank=model)
    texts = [document["text"] for document in corpus.values()]
    scores = model.predict([("w1\x00w2", text) for text in texts], show_progress_bar=False)
    rank = 1 + int((scores > scores[1]).sum())
    assert found.summary()["mono"][RR].mean == pytest.approx(1 / rank)


class Flat(Words):
    """An encoder that tells nothing apart."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1), np.float32)

    encode_passages = encode_queries


def rerank(model: Any, **options: Any) -> Results:
    return evaluate(Words(), small(), rerank=model, **options)


def test_what_cannot_be(model: CrossEncoder, tmp_path: Path) -> None:
    three = cross_encoder(tmp_path / "three", labels=3)
    with pytest.raises(BadData, match="CrossEncoder gives 3 labels; a reranker gives one score"):
        rerank(three)
    with pytest.raises(BadOption, match="one-target settings cannot be reranked"):
        rerank(model, settings=["mono", "one-target"])
    with pytest.raises(BadOption, match="measures see 10 passages, and 9 are reranked"):
        rerank(model, measures=[SameLanguageShare @ 10], depth=9)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadData, match=f"cannot load the cross-encoder '{tmp_path}/nothing'"):
        rerank(str(tmp_path / "nothing"))
    # No measure of the pool is asked for.
    assert rerank(model, measures=[AP, SameLanguageShare @ 10], depth=9, settings=["mono"])
