"""Collections from BEIR's dicts: rows, languages, round trips, and ir-measures' values."""
# mypy: allow-untyped-calls

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.selection import select_languages
from beir_hybrid.errors import BadData
from beir_hybrid.evaluation.evaluate import evaluate

CORPUS: dict[str, dict[str, Any]] = {
    "3#0": {"title": "River", "text": "Water flows"},
    "3#1": {"title": "", "text": "das Meer"},
    "4#0": {"text": "la mer", "title": None},
}
QUERIES = {"1": "What flows?", "2": "Was ist tief?", "3": "nobody judged this"}
QRELS = {"1": {"3#0": 1, "3#1": 2}, "2": {"3#1": 1, "4#0": 0}}
LANGUAGES = {"3#0": "en", "3#1": "de", "4#0": "fr", "1": "en", "2": "de", "3": "en"}


def list_rows(collection: Collection) -> list[list[dict[str, Any]]]:
    parts = (collection.queries, collection.passages, collection.judgements)
    return [part.to_pylist() for part in parts]


def test_a_map_of_languages() -> None:
    collection = bh.from_beir(CORPUS, QUERIES, QRELS, LANGUAGES)
    assert collection.languages == ("de", "en", "fr")
    assert collection.original_ids
    queries, passages, judgements = list_rows(collection)
    assert queries == [
        {"id": "de:q:2", "lang": "de", "text": "Was ist tief?", "group": "2"},
        {"id": "en:q:1", "lang": "en", "text": "What flows?", "group": "1"},
    ]
    assert passages == [
        {"id": "de:3#1", "lang": "de", "title": "", "text": "das Meer"},
        {"id": "en:3#0", "lang": "en", "title": "River", "text": "Water flows"},
        {"id": "fr:4#0", "lang": "fr", "title": "", "text": "la mer"},
    ]
    assert judgements == [
        {"query": 0, "passage": 0, "relevance": 1},
        {"query": 0, "passage": 2, "relevance": 0},
        {"query": 1, "passage": 0, "relevance": 2},
        {"query": 1, "passage": 1, "relevance": 1},
    ]


def test_an_id_of_a_query_and_of_a_passage() -> None:
    corpus = {"1": {"text": "Haus"}, "2": {"text": "Hund"}}
    queries, qrels = {"1": "house?", "2": "dog?"}, {"1": {"1": 1}, "2": {"2": 1}}
    languages = {"1": "de", "2": "de"}
    collection = bh.from_beir(corpus, queries, qrels, languages, query_languages="en")
    assert [setting.name for setting in collection.list_settings()] == ["en-de"]
    maps = bh.from_beir(
        corpus, queries, qrels, {"1": "de", "2": "fr"}, query_languages={"1": "en", "2": "fr"}
    )
    assert maps.view("fr", "fr").to_beir()[2] == {"fr:q:2": {"fr:2": 1}}
    # One language for all ids leaves nothing open; a map of several would tell one of the two.
    assert bh.from_beir(corpus, queries, qrels, languages).languages == ("de",)
    with pytest.raises(BadData, match="2 ids are those of a query and of a passage, first '1'"):
        bh.from_beir(corpus, queries, qrels, {"1": "de", "2": "en"})


def test_tags_that_become_one_language(caplog: pytest.LogCaptureFixture) -> None:
    corpus = {"zh-Hans:1": {"text": "a"}, "zh-Hant:1": {"text": "b"}}
    collection = bh.from_beir(corpus, {"en:q:1": "?"}, {"en:q:1": {"zh-Hans:1": 1}})
    assert collection.passages["id"].to_pylist() == ["zh:zh-Hans:1", "zh:zh-Hant:1"]
    # There is no option here that would keep them apart.
    assert caplog.messages == ["beir: 'zh' stands for 'zh-Hans' and 'zh-Hant'"]


def make_parallel() -> Collection:
    """Make a collection like XQuAD-R: ids have a language, translations a group."""
    langs, corpus, queries, qrels = ("de", "en", "th"), {}, {}, {}
    for lang, number in product(langs, range(9)):
        corpus[f"{lang}:{number // 3}-{number % 3}"] = {
            "title": "head" if number % 2 else "",
            "text": f"{lang} w{number} w{number * 5 % 7}",
        }
        queries[f"{lang}:q:56{number}"] = f"w{number} w{number * 3 % 7}?"
        gold = f"{number // 3}-{number % 3}"
        qrels[f"{lang}:q:56{number}"] = {f"{code}:{gold}": 1 for code in langs}
    groups = {key: key.rpartition(":")[2] for key in queries}
    return bh.from_beir(corpus, queries, qrels, groups=groups, name="parallel")


def test_beirs_dicts_restore_the_collection() -> None:
    collection = make_parallel()
    ids, groups = (collection.queries[name].to_pylist() for name in ("id", "group"))
    group_of = dict(zip(ids, groups, strict=True))
    assert group_of["th:q:561"] == "561"
    again = bh.from_beir(*collection.view().to_beir(), groups=group_of)
    assert list_rows(again) == list_rows(collection)
    assert (again.languages, again.original_ids) == (("de", "en", "th"), False)
    # BEIR's dicts hold no groups: without them, each query is a group of its own.
    ungrouped = bh.from_beir(*collection.view().to_beir())
    assert ungrouped.queries["group"].to_pylist() == ids
    # One setting is restored as well.
    part = bh.from_beir(*collection.view("en", "de").to_beir())
    assert part.languages == ("de", "en")
    assert part.view("en", "de").to_beir() == collection.view("en", "de").to_beir()


def test_equal_dicts_share_a_collection_and_different_ones_do_not() -> None:
    first = bh.from_beir(CORPUS, QUERIES, QRELS, "en")
    with_urls = {key: document | {"url": object()} for key, document in CORPUS.items()}
    float_qrels: Any = {key: {p: float(r) for p, r in row.items()} for key, row in QRELS.items()}
    assert first.passages.equals(bh.from_beir(with_urls, QUERIES, float_qrels, "en").passages)
    from beir_hybrid.files import cache_folder

    folder = cache_folder() / "collections"
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1
    fewer = QRELS | {"2": {"3#1": 1}}
    assert len(bh.from_beir(CORPUS, QUERIES, fewer, "en").judgements) == 3
    titled = CORPUS | {"4#0": {"title": "M", "text": "la mer"}}
    collection = bh.from_beir(titled, QUERIES, QRELS, "en")
    assert collection.passages["title"].to_pylist() == ["River", "", "M"]
    german = bh.from_beir(CORPUS, QUERIES, QRELS, "de")
    assert german.languages == ("de",)
    grouped = bh.from_beir(CORPUS, QUERIES, QRELS, "en", groups={"1": "g", "2": "g"})
    assert grouped.queries["group"].to_pylist() == ["g", "g"]


class Letters:
    """An encoder that counts letters, so that many scores tie."""

    fingerprint: Mapping[str, Any] = {"kind": "letters"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 8), np.float32)
        for row, text in zip(rows, texts, strict=True):
            np.add.at(row, np.frombuffer(text.encode(), np.uint8) % 8, 1)
        return rows

    encode_passages = encode_queries


def test_values_are_those_of_ir_measures_on_the_dicts() -> None:
    draw = np.random.default_rng(2)
    words = ["ab", "bc", "cd", "da", "abc", "bcd"]
    corpus = {
        str(number): {"title": "ab" * (number % 3 == 0), "text": " ".join(draw.choice(words, 2))}
        for number in range(40)
    }
    queries = {str(number): str(draw.choice(words)) for number in range(100, 112)}
    qrels = {
        key: dict(zip(draw.choice(list(corpus), 4, replace=False).tolist(), [1, 2, 1, 0],
                      strict=True))
        for key in queries
    }  # fmt: skip
    encoder = Letters()
    texts = [f"{row['title']} {row['text']}".strip() for row in corpus.values()]
    scores = encoder.encode_queries(list(queries.values())) @ encoder.encode_passages(texts).T
    run = {
        query: dict(zip(corpus, row, strict=True))
        for query, row in zip(queries, scores.tolist(), strict=True)
    }
    measures = [AP, RR @ 10, nDCG @ 10, R @ 5]
    results = evaluate(encoder, bh.from_beir(corpus, queries, qrels, "sw"), measures=measures)
    assert results.kinds == ("mono",)
    means = {measure: estimate.mean for measure, estimate in results.summary()["mono"].items()}
    assert means == pytest.approx(ir_measures.calc_aggregate(measures, qrels, run), abs=1e-9)


ONE: dict[str, Any] = {"1": {"text": "water"}}


@pytest.mark.parametrize(
    ("corpus", "queries", "qrels", "languages", "message"),
    [
        (ONE, {"q": "x"}, {"q": {"1": 1}}, None, "1 ids have no language, first 'q'"),
        (ONE, {"q": "x"}, {"q": {"1": 1}}, {"q": "en"}, "1 ids have no language, first '1'"),
        (ONE, {"q": "x"}, {"q": {"1": 1}}, "klingon", "passages with unknown language 'klingon'"),
        (ONE, {"q": "x"}, {"q": {"8": 1, "9": 1}}, "en",
         "beir: 2 passages that judgements name and the collection lacks, first '8'"),
        (ONE, {"q": "x"}, {"q": {"1": 1}, "r": {"1": 1}}, "en",
         "beir: 1 queries that judgements name and the collection lacks, first 'r'"),
        (ONE, {"q": "x"}, {}, "en", "beir: there are no queries"),
        ({"1": {"text": None}}, {"q": "x"}, {"q": {"1": 1}}, "en", "1 passages without text"),
        (ONE, {"q": None}, {"q": {"1": 1}}, "en", "1 queries without text, first 'en:q:q'"),
        ({1: {"text": "a"}}, {"q": "x"}, {"q": {1: 1}}, "en",
         "beir: the id 1 is of type int, not str"),
        ({"1": "water"}, {"q": "x"}, {"q": {"1": 1}}, "en", "beir: passage '1' is 'water'"),
        (ONE, {"q": ["x"]}, {"q": {"1": 1}}, "en", r"beir: query 'q' is \['x'\]"),
        (ONE, {"q": "x"}, {"q": ["1"]}, "en", r"beir: judgements of 'q' is \['1'\]"),
        (ONE, {"q": "x"}, {"q": {"1": 0.5}}, "en",
         "beir: the relevance of '1' to 'q' is 0.5, no integer"),
        (ONE, {"q": "x"}, {"q": {"1": "1"}}, "en", "the relevance of '1' to 'q' is '1', no int"),
        (ONE, {"q": "x"}, {"q": {"1": None}}, "en", "the relevance of '1' to 'q' is None, no int"),
        (ONE, {"q": "x"}, {"q": {"1": float("nan")}}, "en", "to 'q' is nan, no integer"),
    ],
)  # fmt: skip
def test_bad_dicts_are_refused(
    corpus: Any, queries: Any, qrels: Any, languages: Any, message: str
) -> None:
    with pytest.raises(BadData, match=message):
        bh.from_beir(corpus, queries, qrels, languages)


def test_ids_that_begin_with_their_language_are_kept(tmp_path: Path) -> None:
    """Only ids of our own form, with q: in queries', are taken apart; a run has the others."""
    corpus = {"en:d1": {"text": "a"}, "de:d1": {"text": "b"}}
    collection = bh.from_beir(corpus, {"en:7": "?"}, {"en:7": {"en:d1": 1}})
    assert collection.original_ids
    run = tmp_path / "en-all.trec"
    run.write_text("en:7 Q0 de:d1 1 .9 x\nen:7 Q0 en:d1 2 .5 x\n")
    (value,) = bh.evaluate_runs(run, collection, measures=["AP"]).means("AP").values()
    assert value == 0.5
    ours = bh.from_beir(corpus, {"en:q:7": "?"}, {"en:q:7": {"en:d1": 1}})
    assert (ours.original_ids, ours.passages["id"].to_pylist()) == (False, ["de:d1", "en:d1"])


def test_collections_of_other_names_or_attributes_are_others() -> None:
    arguments = CORPUS, QUERIES, QRELS, "en"
    names = ["\u65e5\u672c", "\u4e2d\u6587", "faq.v1", "faq v1", f"{'a' * 60}b", f"{'a' * 60}c"]
    assert [bh.from_beir(*arguments, name=name).name for name in names] == names
    collection = bh.from_beir(*arguments, name="mine")
    licensed = replace(collection, licence="CC0")
    for original in (collection, licensed):
        assert select_languages(original, "en").licence == original.licence


def test_half_a_character_is_named() -> None:
    with pytest.raises(BadData, match=r"'a\\ud83d' holds half a character"):
        bh.from_beir({"1": {"text": "a\ud83d"}}, {"q": "?"}, {"q": {"1": 1}}, "en")
