"""Pools of one passage language, queries without a passage of their own, and ties in pools."""
# mypy: allow-untyped-calls

from pathlib import Path

import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadOption
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.results.render import list_notes
from tests.word_encoder import WordCountEncoder

NOTE = "all passages are in one language, en: no language bias to measure"


def make_english_passages() -> Collection:
    """Return questions in three languages, all answered in English."""
    corpus = {f"en:{n}": {"text": f"w{n}"} for n in range(4)}
    queries = {f"{lang}:q:{n}": f"w{n}" for lang in ("de", "en", "fr") for n in range(3)}
    return bh.from_beir(corpus, queries, {key: {f"en:{key[-1]}": 1} for key in queries})


def test_passages_of_one_language_make_no_pool(tmp_path: Path) -> None:
    collection = make_english_passages()
    names = [setting.name for setting in collection.list_settings()]
    assert names == ["en-en", "de-en", "fr-en"]
    results = bh.evaluate(WordCountEncoder(), collection)
    assert results.kinds == ("mono", "cross")
    assert not any(isinstance(measure, BiasMeasure) for measure in results.measures)
    assert not results.pools
    assert NOTE in list_notes(results)
    results.save(tmp_path)
    assert NOTE in list_notes(bh.Results.load(tmp_path))


@pytest.mark.parametrize("kind", ["multi", "one-target"])
def test_a_pool_that_is_asked_for_is_refused(kind: str) -> None:
    message = f"beir has no {kind} settings: its texts are in one language, en; it has mono, cross"
    with pytest.raises(BadOption, match=message):
        bh.evaluate(WordCountEncoder(), make_english_passages(), settings=kind)


@pytest.mark.parametrize("name", ["de-all.trec", "mine"])
def test_a_run_of_such_a_pool_is_one_of_its_language(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("de:q:0 Q0 en:0 1 2 x\nde:q:1 Q0 en:1 1 2 x\nde:q:2 Q0 en:2 1 2 x\n")
    results = bh.evaluate_runs(path, make_english_passages(), measures=[AP])
    assert results.means(AP) == {Setting("cross", "de", "en"): 1.0}
    assert NOTE in list_notes(results)


def test_means_and_unbiased_values_are_over_the_same_languages(tmp_path: Path) -> None:
    corpus = {f"{lang}:{n}": {"text": "x"} for lang in ("de", "en") for n in range(2)}
    queries = {"de:q:0": "a", "en:q:0": "b", "fr:q:0": "c"}
    golds = {"de:0": 1, "en:0": 1}
    qrels = {"de:q:0": golds, "en:q:0": {"de:0": 1}, "fr:q:0": golds}
    collection = bh.from_beir(corpus, queries, qrels)
    run = {"de:0": 4.0, "de:1": 3.0, "en:0": 2.0, "en:1": 1.0}
    path = bh.write_run(tmp_path / "run", dict.fromkeys(queries, run))
    share = bh.SameLanguageShare @ 3
    results = bh.evaluate_runs(path, collection, measures=[share])
    # Only German queries have a relevant passage in their language: 2 of the first 3 are German.
    estimate = results.summary()["multi"][share]
    assert estimate.mean == pytest.approx(2 / 3)
    assert (estimate.unbiased, estimate.queries) == (0.5, 1)


def test_ties_in_the_pool_are_counted(tmp_path: Path) -> None:
    texts = {"de:0": "w1", "de:1": "w2", "en:0": "w1", "en:1": "w3 w3", "en:2": "w4"}
    corpus = {key: {"text": text} for key, text in texts.items()}
    queries = {"de:q:0": "w1", "de:q:1": "w3", "en:q:1": "w3"}
    qrels = {
        "de:q:0": {"de:0": 1},  # en:0 has the same text
        "de:q:1": {"en:1": 1, "en:2": 0},  # the only passage with w3; en:2 ties, and is no gold
        "en:q:1": {"en:1": 1, "de:1": 1},  # de:1 scores 0, as others do
    }
    collection = bh.from_beir(corpus, queries, qrels)
    note = (
        "multi: for 2 queries a relevant passage has the score of another one, and ids decide "
        "their order"
    )
    results = bh.evaluate(WordCountEncoder(), collection, measures=[AP], runs=tmp_path / "runs")
    assert results.pools["multi"].ties == 2
    assert note in list_notes(results)
    files = sorted((tmp_path / "runs").glob("*-all.trec"))
    results = bh.evaluate_runs(files, collection, measures=[AP])
    assert results.pools["multi"].ties == 2
    results.save(tmp_path / "saved")
    assert note in list_notes(bh.Results.load(tmp_path / "saved"))
