"""Reranked passages are in the cross-encoder's order, ties included."""
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
from beir_hybrid.measures.bias.language_exposure import LanguageExposure
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.results.render import format_value, list_notes
from beir_hybrid.results.results import Results
from beir_hybrid.retrieval.runs import read_run
from tests.models import transformer_model
from tests.word_encoder import WordCountEncoder

EFFECTIVENESS: list[Measure] = [AP, nDCG @ 10, R @ 3, P @ 5, RR, RR @ 5, Judged @ 4, Bpref]
BIAS: list[Measure] = [RankDistance, SameLanguageShare @ 4, LanguageExposure @ 3]


def make_cross_encoder(folder: Path, labels: int = 1, seed: int = 3) -> CrossEncoder:
    """Return a BERT of one layer that reads pairs, with weights large enough to tell them apart."""
    from transformers import AutoConfig, BertForSequenceClassification

    transformer_model(folder)  # its tokenizer and configuration
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(folder, num_labels=labels, initializer_range=0.6)
    BertForSequenceClassification(config).save_pretrained(folder)
    return CrossEncoder(str(folder), device="cpu")


@pytest.fixture
def model(tmp_path: Path) -> CrossEncoder:
    return make_cross_encoder(tmp_path / "model")


def make_collection() -> Collection:
    """Make queries in three languages; passages repeat, so that reranked scores tie too."""
    draw = np.random.default_rng(4)
    corpus, queries, qrels = {}, {}, {}
    for lang, size in (("de", 30), ("en", 24), ("th", 9)):
        for number in range(size):
            text = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
            corpus[f"{lang}:{number}"] = {"title": "w5" if number % 7 == 0 else "", "text": text}
    for number, lang in product(range(5), ("de", "en", "th")):
        queries[f"{lang}:q:{number}"] = " ".join(f"w{word}" for word in draw.integers(0, 9, 2))
        golds = {f"{language}:{number}": 1 for language in ("de", "en", "th")}
        qrels[f"{lang}:q:{number}"] = golds | {f"en:{number + 8}": 2, f"de:{number + 9}": 0}
    queries["de:q:4"] = queries["de:q:3"]
    return bh.from_beir(corpus, queries, qrels, name="small")


def join_title(document: Mapping[str, str]) -> str:
    return " ".join(part for part in (document["title"], document["text"]) if part)


class CachedCrossEncoder:
    """Scores each pair once."""

    def __init__(self, model: CrossEncoder) -> None:
        self.model, self.scores = model, dict[tuple[str, str], float]()

    def learn(self, query: str, texts: Sequence[str]) -> None:
        pairs = [(query, text) for text in dict.fromkeys(texts) if (query, text) not in self.scores]
        if pairs:
            scores = self.model.predict(pairs, show_progress_bar=False).tolist()
            self.scores.update(zip(pairs, scores, strict=True))

    def __call__(self, query: str, text: str) -> float:
        return self.scores[query, text]


def rank_passages(
    view: View, scorer: CachedCrossEncoder, depth: int, *, descending: bool
) -> dict[str, list[str]]:
    """Return each query's passages in the expected order."""
    corpus, queries, _ = view.to_beir()
    encoder = WordCountEncoder()
    texts = [join_title(document) for document in corpus.values()]
    score_matrix = encoder.encode_queries(list(queries.values())) @ encoder.encode_passages(texts).T
    orders = {}
    for (query, query_text), row in zip(queries.items(), score_matrix.tolist(), strict=True):
        first_scores = dict(zip(corpus, row, strict=True))
        order = sorted(first_scores, key=lambda key: (first_scores[key], key), reverse=True)
        top, rest = order[:depth], order[depth:]
        scorer.learn(query_text, [join_title(corpus[key]) for key in top])
        score = {key: scorer(query_text, join_title(corpus[key])) for key in top}
        top = sorted(top, reverse=descending)
        orders[query] = sorted(top, key=lambda key: -score[key]) + rest
    return orders


def to_run(orders: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    return {
        query: {key: float(-rank) for rank, key in enumerate(order)}
        for query, order in orders.items()
    }


def compute_values(
    view: View, scorer: CachedCrossEncoder, depth: int, has_bias: bool
) -> dict[Any, float]:
    """Return ir-measures' value of every measure and query."""
    descending = rank_passages(view, scorer, depth, descending=True)
    ascending = rank_passages(view, scorer, depth, descending=False)
    _, _, qrels = view.to_beir()
    names = {query: str(number) for number, query in enumerate(descending)}
    values = {}
    for measure in [*EFFECTIVENESS, *(BIAS if has_bias else [])]:
        # These two break ties the other way.
        order = ascending if measure in (RR @ 5, Judged @ 4) else descending
        if measure == Bpref:  # sees the run, which ends at the depth
            order = {query: keys[:depth] for query, keys in order.items()}
        rename = {query: query for query in names} if measure in BIAS else names
        named_qrels = {rename[query]: qrels[query] for query in names}
        run = {rename[query]: keys for query, keys in to_run(order).items()}
        for metric in ir_measures.iter_calc([measure], named_qrels, run):
            query = {new: old for old, new in rename.items()}[metric.query_id]
            values[measure, query] = metric.value
    return values


@pytest.mark.parametrize("depth", [5, 12, 500])
def test_values_in_every_setting_equal_ir_measures_on_reranked_rankings(
    model: CrossEncoder, tmp_path: Path, depth: int
) -> None:
    collection, runs, scorer = make_collection(), tmp_path / "runs", CachedCrossEncoder(model)
    results = evaluate(
        WordCountEncoder(),
        collection,
        measures=[*EFFECTIVENESS, *BIAS],
        rerank=model,
        depth=depth,
        runs=runs,
    )
    table = results.per_query().to_pylist()
    assert len(results.settings) == 12
    for setting in results.settings:
        view = collection.view(setting.queries, None if setting.kind == "multi" else setting[2])
        expected_values = compute_values(view, scorer, depth, has_bias=setting.kind == "multi")
        rows = [row for row in table if (row["queries"], row["passages"]) == setting[1:]]
        values = {(m, row["query"]): row[str(m)] for row in rows for m in EFFECTIVENESS + BIAS}
        assert {key: values[key] for key in expected_values} == pytest.approx(
            expected_values, abs=1e-9
        ), setting
        orders = rank_passages(view, scorer, depth, descending=True)
        run = read_run(runs / f"{view.name}.trec")
        assert {query: list(scores) for query, scores in run.items()} == {
            query: order[:depth] for query, order in orders.items()
        }
        corpus, queries, _ = view.to_beir()
        for query, scores in run.items():
            pair_scores = {key: scorer(queries[query], join_title(corpus[key])) for key in scores}
            assert scores == pytest.approx(pair_scores, abs=1e-5)


def test_reranking_changes_the_order_and_has_ties(model: CrossEncoder) -> None:
    view, scorer = make_collection().view("en"), CachedCrossEncoder(model)
    orders = rank_passages(view, scorer, 12, descending=True)
    first_stage = rank_passages(view, scorer, 0, descending=True)
    corpus, queries, _ = view.to_beir()
    assert all(orders[query][:12] != first_stage[query][:12] for query in orders)
    scores = [
        [scorer(queries[q], join_title(corpus[key])) for key in orders[q][:12]] for q in orders
    ]
    assert any(left == right for row in scores for left, right in pairwise(row))


def test_equal_pairs_are_scored_once_and_stored(model: CrossEncoder, tmp_path: Path) -> None:
    collection, store = make_collection(), tmp_path / "store"

    def count_scored(model: CrossEncoder, **options: Any) -> int:
        results = evaluate(
            WordCountEncoder(), collection, measures=[AP], rerank=model, store=store, **options
        )
        return results.timing.reranked_pairs or 0

    scorer = CachedCrossEncoder(model)
    for view in (collection.view(q, p) for q in collection.languages for p in (q, None)):
        rank_passages(view, scorer, 6, descending=True)
    pairs = scorer.scores
    assert count_scored(model, settings=["mono", "multi"], depth=6) == len(pairs)
    assert count_scored(model, settings=["mono", "multi"], depth=6) == 0
    # The same model read again from its folder, and fewer of the same pairs.
    assert count_scored(CrossEncoder(str(tmp_path / "model"), device="cpu"), depth=2) > 0  # cross
    assert count_scored(CrossEncoder(str(tmp_path / "model"), device="cpu"), depth=2) == 0
    second_model = make_cross_encoder(tmp_path / "other", seed=5)
    assert count_scored(second_model, settings=["mono", "multi"], depth=6) == len(pairs)
    with torch.no_grad():
        next(second_model.parameters()).mul_(1.5)
    assert count_scored(second_model, settings=["mono", "multi"], depth=6) == len(pairs)
    second_model.max_seq_length = 5
    assert count_scored(second_model, settings=["mono", "multi"], depth=6) == len(pairs)
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_a_cross_encoder_by_its_folder(model: CrossEncoder, tmp_path: Path) -> None:
    collection = make_collection()
    by_name = evaluate(
        WordCountEncoder(), collection, measures=[AP], rerank=str(tmp_path / "model"), depth=9
    )
    by_object = evaluate(WordCountEncoder(), collection, measures=[AP], rerank=model, depth=9)
    assert by_name.per_query() == by_object.per_query()
    assert by_name.provenance.reranker is not None
    assert by_name.provenance.reranker.name == str(tmp_path / "model")
    assert by_name.provenance.reranker.depth == 9


def test_truncated_pairs_are_counted(model: CrossEncoder, tmp_path: Path) -> None:
    # A pair has a token a word, one before it and one after; see `transformer_model`.
    scorer = CrossEncoderScorer(model)
    model.max_seq_length = 6
    pairs = [json.dumps(["w1 w2", "w3 " * n]) for n in (1, 2, 3, 9)]
    lengths = [len(model.tokenizer(*json.loads(pair))["input_ids"]) for pair in pairs]
    assert scorer.find_truncated(pairs) == [at for at, n in enumerate(lengths) if n > 6]
    assert lengths[3] > 6 >= lengths[0]
    stats = EncodingStats()
    score_pairs(scorer, pairs, folder=tmp_path, stats=stats)
    assert stats.truncated == sum(n > 6 for n in lengths)


def test_texts_may_have_any_character(model: CrossEncoder) -> None:
    corpus = {"1": {"text": 'w1 \x00 "w2"'}, "2": {"text": "w3\x00\x00w4"}, "3": {"text": "w1"}}
    collection = bh.from_beir(corpus, {"q": "w1\x00w2"}, {"q": {"2": 1}}, "en")
    results = evaluate(ConstantEncoder(), collection, measures=[RR], rerank=model)
    texts = [document["text"] for document in corpus.values()]
    scores = model.predict([("w1\x00w2", text) for text in texts], show_progress_bar=False)
    rank = 1 + int((scores > scores[1]).sum())
    assert results.summary()["mono"][RR].mean == pytest.approx(1 / rank)


class ConstantEncoder(WordCountEncoder):
    """Gives all texts the same vector."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1), np.float32)

    encode_passages = encode_queries


def evaluate_reranked(model: Any, **options: Any) -> Results:
    return evaluate(WordCountEncoder(), make_collection(), rerank=model, **options)


def test_impossible_rerankers_are_refused(model: CrossEncoder, tmp_path: Path) -> None:
    three = make_cross_encoder(tmp_path / "three", labels=3)
    with pytest.raises(BadData, match="CrossEncoder gives 3 labels; a reranker gives one score"):
        evaluate_reranked(three)
    with pytest.raises(BadOption, match="one-target settings cannot be reranked"):
        evaluate_reranked(model, settings=["mono", "one-target"])
    with pytest.raises(BadOption, match="measures see 10 passages, and 9 are reranked"):
        evaluate_reranked(model, measures=[SameLanguageShare @ 10], depth=9)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadData, match=f"the folder {tmp_path}/nothing holds no model"):
        evaluate_reranked(str(tmp_path / "nothing"))
    # No measure of the pool is asked for.
    assert evaluate_reranked(
        model, measures=[AP, SameLanguageShare @ 10], depth=9, settings=["mono"]
    )


def test_language_bias_is_reported_before_and_after(model: CrossEncoder, tmp_path: Path) -> None:
    collection, measures = make_collection(), [*EFFECTIVENESS, *BIAS]
    first = evaluate(WordCountEncoder(), collection, measures=measures, store=tmp_path)
    results = evaluate(
        WordCountEncoder(), collection, measures=measures, rerank=model, depth=12, store=tmp_path
    )
    ranked = [str(measure) for measure in measures if measure not in (Bpref, P @ 5)]
    for kind, row in results.before_reranking.items():
        expected = {str(m): estimate.mean for m, estimate in first.summary()[kind].items()}
        assert row == pytest.approx({name: expected[name] for name in row}, abs=1e-12)
        assert {*ranked} & expected.keys() <= row.keys()
    assert [*results.before_reranking] == ["mono", "cross", "multi"]
    assert first.before_reranking == {}
    before = results.before_reranking["multi"]["RankDistance"]
    assert before != results.summary()["multi"][RankDistance].mean
    assert any(f"RankDistance {format_value(before)}" in note for note in list_notes(results))
    results.save(tmp_path / "out")
    assert Results.load(tmp_path / "out").before_reranking == results.before_reranking
    first.save(tmp_path / "first")
    assert "before reranking" not in (tmp_path / "first" / "results.json").read_text("utf-8")
