"""Languages of the first passages in pools: by hand, by brute force, on disk and on pages."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP
from rich.console import Console

import beir_hybrid as bh
from beir_hybrid.cli.printing import to_json
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.results.estimate import Estimate
from beir_hybrid.results.pool_languages import PoolLanguages
from beir_hybrid.results.render import list_notes, render_pools
from beir_hybrid.results.results import Results
from beir_hybrid.results.statistics import estimate_interval
from beir_hybrid.results.values import Values
from tests.boards import LANGUAGES, Page
from tests.leaderboard_fixtures import capitals, module_cache, results_folder, site
from tests.sealed_files import rewrite
from tests.test_evaluate import TrigramEncoder, make_parallel_collection, rank_all_passages
from tests.test_image_evaluation import (
    draw_caption_counts,
    draw_vectors,
    list_runs_and_qrels,
    make_collection,
)

__all__ = ["capitals", "module_cache", "results_folder", "site"]

HALF = vars(Estimate(0.5, 0.5, 0.5, 0.5, 1, 0.5))
Run = Mapping[str, Mapping[str, float]]


def score_in_order(order: str) -> dict[str, float]:
    return {passage: 1.0 - 0.125 * place for place, passage in enumerate(order.split())}


def make_small_collection() -> Collection:
    """Make three German questions, the first one in English too."""
    corpus = {f"{lang}:{n}": {"text": f"{lang} {n}"} for lang in ("de", "en") for n in range(1, 4)}
    queries = {"de:q:1": "eins", "de:q:2": "zwei", "de:q:3": "drei", "en:q:1": "one"}
    qrels = {key: {"de:1": 1, "en:1": 1} for key in queries}
    qrels["de:q:2"] = {"de:2": 1, "de:3": 2, "en:2": 1, "en:3": -1}
    groups = {key: key[-1] for key in queries}
    return bh.from_beir(corpus, queries, qrels, groups=groups, name="small")


def evaluate_small(folder: Path, run: Run | None = None) -> Results:
    run = run or {
        "de:q:1": score_in_order("de:1 de:2 en:1"),
        "de:q:2": score_in_order("de:2"),
        "en:q:1": score_in_order("en:1 en:2 de:1 de:3"),
    }
    paths = [
        bh.write_run(
            folder / f"{lang}-all.trec",
            {query: scores for query, scores in run.items() if query.startswith(lang)},
        )
        for lang in sorted({query[:2] for query in run})
    ]
    return bh.evaluate_runs(paths, make_small_collection(), measures=[AP])


def test_shares_and_intervals_by_hand(tmp_path: Path) -> None:
    pool = evaluate_small(tmp_path).pool_languages()
    assert (pool.depth, pool.languages, list(pool.estimates)) == (
        10,
        ("de", "en"),
        ["de", "en", "all"],
    )
    # German queries: two of three passages, and all of one, are German; the run lacks the third.
    # Of the relevant passages, a half and two thirds are. A bootstrap draws both queries or either.
    assert vars(pool["de", "de"]) == pytest.approx(
        vars(Estimate(5 / 6, 2 / 3, 1.0, 5 / 6, queries=2, unbiased=7 / 12))
    )
    assert vars(pool["de", "en"]) == pytest.approx(
        vars(Estimate(1 / 6, 0.0, 1 / 3, 1 / 6, queries=2, unbiased=5 / 12))
    )
    assert pool.ratio("de", "de") == pytest.approx(10 / 7)
    # The English query is in the first group; where that is not drawn, there is no English mean.
    assert vars(pool["en", "de"]) == pytest.approx(vars(Estimate(0.5, 0.5, 0.5, 0.5, 1, 0.5)))
    # Over query languages (5/6 + 1/2) / 2 and (7/12 + 1/2) / 2; over queries (2/3 + 1 + 1/2) / 3.
    # Of the first group alone (2/3 + 1/2) / 2, of the second alone 1.
    assert vars(pool["all", "de"]) == pytest.approx(
        vars(Estimate(2 / 3, 7 / 12, 1.0, 13 / 18, queries=3, unbiased=13 / 24))
    )
    shares = pool.shares()
    assert (shares.rows, shares.columns) == (("de", "en"), ("de", "en"))
    assert shares.values == pytest.approx(np.array([[5 / 6, 1 / 6], [1 / 2, 1 / 2]]))
    with pytest.raises(UnknownName, match="no query language 'fr'; there are all, de, en"):
        pool["fr", "de"]
    with pytest.raises(UnknownName, match="no language 'fr'"):
        pool["de", "fr"]


def test_a_language_without_relevant_passages_has_no_ratio() -> None:
    pool = PoolLanguages(10, {"all": {"de": Estimate(0.5, 0.5, 0.5, 0.5, 1, 0.0)}})
    assert np.isnan(pool.ratio("all", "de"))


def count_plainly(run: Run, qrels: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """Return the shares of languages among the first 10 and the relevant, query by query."""
    return {
        query: {
            "top": find_shares(
                sorted(scores, key=lambda key: (scores[key], key), reverse=True)[:10]
            ),
            "relevant": find_shares([key for key, grade in qrels[query].items() if grade > 0]),
        }
        for query, scores in run.items()
    }


def find_shares(passages: Iterable[str]) -> dict[str, float]:
    counts = Counter(passage.split(":")[0] for passage in passages)
    return {lang: count / counts.total() for lang, count in counts.items()}


def check_plainly(pool: PoolLanguages, runs: Mapping[str, tuple[Run, Any]]) -> None:
    """Compare all estimates with the shares that runs have, by query language."""
    tables = {lang: count_plainly(run, qrels) for lang, (run, qrels) in runs.items()}
    assert list(pool.estimates) == [*tables, "all"]
    for passage in pool.languages:
        means = {}
        for lang, table in tables.items():
            shares, golds = (
                [row[part].get(passage, 0.0) for row in table.values()]
                for part in ("top", "relevant")
            )
            means[lang] = float(np.mean(shares)), float(np.mean(golds))
            estimate = pool[lang, passage]
            assert (estimate.mean, estimate.unbiased) == pytest.approx(means[lang]), lang
            assert estimate.queries == len(table)
            assert estimate.low <= estimate.mean <= estimate.high
        total = pool["all", passage]
        mean, golds = np.mean(list(means.values()), axis=0)
        assert (total.mean, total.unbiased) == pytest.approx((mean, golds))


def test_brute_force_on_whole_rankings_and_runs(tmp_path: Path) -> None:
    collection = make_parallel_collection()
    encoder: Any = TrigramEncoder()
    results = bh.evaluate(encoder, collection, measures=[AP, SameLanguageShare @ 10])
    runs = {}
    for lang in collection.languages:
        view = collection.view(lang)
        run = rank_all_passages(collection, view.query_rows.tolist(), view.passage_languages)
        runs[lang] = run, view.to_beir()[2]
    pool = results.pool_languages()
    check_plainly(pool, runs)
    # The query's own language has the value of the measure.
    for setting, share in results.means(SameLanguageShare @ 10).items():
        assert pool[setting.queries, setting.queries].mean == pytest.approx(share)
    # Neither other measures nor runs change that.
    plain = bh.evaluate(encoder, collection, measures=[AP], settings="multi", runs=tmp_path)
    assert plain.pool_languages() == pool
    external = bh.evaluate_runs(sorted(tmp_path.glob("*.trec")), collection, measures=[AP])
    assert external.pool_languages() == pool


@pytest.mark.parametrize("calibration", ["centre", "local:k=3", "round-robin"])
def test_calibrated_rankings_are_counted_as_their_runs(calibration: str, tmp_path: Path) -> None:
    collection = make_parallel_collection()
    encoder: Any = TrigramEncoder()
    plain = bh.evaluate(encoder, collection, measures=[AP], settings="multi")
    calibrated = bh.evaluate(
        encoder,
        collection,
        measures=[AP],
        settings="multi",
        runs=tmp_path,
        calibration=calibration,
    )
    assert calibrated.pool_languages() != plain.pool_languages()
    external = bh.evaluate_runs(sorted(tmp_path.glob("*.trec")), collection, measures=[AP])
    assert external.pool_languages() == calibrated.pool_languages()


def test_intervals_are_those_of_the_bootstrap() -> None:
    collection = make_parallel_collection()
    encoder: Any = TrigramEncoder()
    pool = bh.evaluate(encoder, collection, measures=[AP]).pool_languages()
    groups = {row["id"]: row["group"] for row in collection.queries.to_pylist()}
    numbers = {group: number for number, group in enumerate(sorted(set(groups.values())))}
    rows = []
    for setting, lang in enumerate(collection.languages):
        view = collection.view(lang)
        run = rank_all_passages(collection, view.query_rows.tolist(), view.passage_languages)
        for query, row in count_plainly(run, view.to_beir()[2]).items():
            rows.append((numbers[groups[query]], setting, row["top"].get("en", 0.0)))
    group, setting_number, value = (np.array(column) for column in zip(*rows, strict=True))
    expected = estimate_interval(Values(group, setting_number, value))
    assert (pool["all", "en"].low, pool["all", "en"].high) == pytest.approx(expected)
    german = setting_number == 0  # which has all groups
    expected = estimate_interval(Values(group[german], setting_number[german], value[german]))
    assert (pool["de", "en"].low, pool["de", "en"].high) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["multi", "image-pool", "mixed"])
def test_brute_force_with_images_and_queries_among_passages(kind: KindName) -> None:
    collection = make_collection(draw_caption_counts(3, images=20))
    vectors = draw_vectors(collection, 3)
    results = bh.evaluate(vectors, collection, settings=[kind], measures=[AP])
    settings = list_runs_and_qrels(collection, vectors, kind)
    pool = results.pool_languages(kind)
    assert pool.languages == collection.codes[: 4 if kind == "mixed" else 3]
    order = [code for code in collection.codes if any(s.queries == code for s in settings)]
    runs = {setting.queries: runs for setting, runs in settings.items()}
    check_plainly(pool, {code: runs[code] for code in order})


def test_a_language_without_passages_is_no_column() -> None:
    corpus, queries, qrels = make_parallel_collection().view().to_beir()
    corpus = {key: text for key, text in corpus.items() if not key.startswith("th")}
    qrels = {
        query: {key: grade for key, grade in grades.items() if key in corpus}
        for query, grades in qrels.items()
    }
    collection = bh.from_beir(corpus, queries, qrels, name="lopsided")
    encoder: Any = TrigramEncoder()
    pool = bh.evaluate(encoder, collection, measures=[AP]).pool_languages()
    assert (pool.languages, list(pool.estimates)) == (("de", "en"), ["de", "en", "th", "all"])
    assert pool["th", "de"].mean + pool["th", "en"].mean == pytest.approx(1)


def test_pools_of_one_language_and_rankings_of_nothing(tmp_path: Path) -> None:
    collection = bh.from_beir({"de:1": {"text": "w1"}}, {"de:q:1": "w1"}, {"de:q:1": {"de:1": 1}})
    encoder: Any = TrigramEncoder()
    results = bh.evaluate(encoder, collection, measures=[AP])
    assert (results.pools, list_notes(results)) == ({}, [])
    with pytest.raises(BadOption, match="do not count the languages of the first 10 passages in"):
        results.pool_languages()
    with pytest.raises(UnknownName, match="no kind of setting 'mult'"):
        results.pool_languages("mult")  # type: ignore[arg-type] # a test of the message
    # A language without any ranking is no row.
    run = {"de:q:1": score_in_order("de:1"), "en:q:9": score_in_order("de:1")}
    del run["en:q:9"]
    assert list(evaluate_small(tmp_path, run).pool_languages().estimates) == ["de", "all"]


def test_saved_results_have_the_pools_and_older_ones_say_that_they_do_not(tmp_path: Path) -> None:
    results = evaluate_small(tmp_path)
    results.save(tmp_path / "new")
    loaded = Results.load(tmp_path / "new")
    assert loaded.pools == results.pools
    assert not any("first 10" in note for note in list_notes(loaded))
    path = tmp_path / "new" / "results.json"
    rewrite(path, lambda record: record.pop("pools"))
    older = Results.load(tmp_path / "new")
    note = next(note for note in list_notes(older) if "first 10" in note)
    assert note.startswith("the languages of the first 10 passages are not counted: these results")
    with pytest.raises(BadOption, match="multi settings; evaluate the model again"):
        older.pool_languages()
    assert to_json(older)["pools"] == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multi": {"depth": 10, "estimates": {}}}, r"pools.multi.estimates needs the same langu"),
        ({"multi": {"depth": 10}}, r"results.json: pools.multi.estimates is missing"),
        ({"pool": {"depth": 10, "estimates": {}}}, r"results.json: pools.* is 'pool'"),
        (
            {
                "multi": {
                    "depth": 10,
                    "estimates": {"all": {"de": vars(Estimate(0.5, 0, 1, 1, 1, 1))}},
                }
            },
            r"estimates.all: means add up to 0.5",
        ),
        ({"multi": {"depth": "x", "estimates": {}}}, r"depth is 'x'; it must be a whole number"),
    ],
)
def test_damaged_pools_are_refused(tmp_path: Path, change: object, message: str) -> None:
    path = evaluate_small(tmp_path).save(tmp_path / "out") / "results.json"
    rewrite(path, lambda record: record.update(pools=change))
    with pytest.raises(BadData, match=message):
        Results.load(tmp_path / "out")


def test_the_table_in_a_terminal(tmp_path: Path) -> None:
    results = evaluate_small(tmp_path)
    text = StringIO()
    Console(file=text, width=80).print(render_pools(results))
    assert [line.rstrip() for line in text.getvalue().splitlines()] == [
        "multi, first 10: % in each language, x its share of the relevant",
        "queries   de   en",
        "de       83%  17%",
        "        1.4x 0.4x",
        "en       50%  50%",
        "        1.0x 1.0x",
        "all      67%  33%",
        "        1.2x 0.7x",
        "queries in German: 83% of the first 10 passages are in German, and 58% of the",
        "relevant ones; queries in English: 50% of the first 10 passages are in English,",
        "and 50% of the relevant ones",
    ]
    pool = results.pool_languages()
    row = {f"l{number}": pool["all", "de"] for number in range(18)}
    wide = replace(results, pools={"multi": PoolLanguages(10, {"l0": row, "all": row})})
    text = StringIO()
    Console(file=text, width=80).print(render_pools(wide))
    lines = text.getvalue().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("queries ")] == ["l0", "l12", "in"]
    assert sum(line.count("67%") for line in lines) == 36 + 1  # and once in words


def test_json_has_every_estimate(tmp_path: Path) -> None:
    results = evaluate_small(tmp_path)
    pools = json.loads(json.dumps(to_json(results)["pools"]))
    assert pools["multi"]["estimates"]["all"]["de"]["mean"] == pytest.approx(2 / 3)
    assert pools["multi"]["depth"] == 10


def test_the_heat_map_of_a_page(results_folder: Path, site: Path) -> None:
    pool = bh.Results.load(results_folder / "own").pool_languages()
    page = Page(site / "models" / "capitals-own-language.html")
    heat_map = page.find_table("Languages of the first 10, multilingual")
    assert heat_map[0][1:] == [*LANGUAGES]
    assert [row[0] for row in heat_map[1:]] == [*LANGUAGES, "all"]
    # The answer in the query's language comes first, the 33 wrong ones tie, and of these the
    # English ones have the last ids.
    assert heat_map[1] == ["ar", "10% 0.3x", "0% 0.0x", "90% 2.7x"]
    assert pool["ar", "en"].mean == pytest.approx(0.9)
    table = page.find_table("Mean over query languages, multilingual")
    assert table[0] == ["passages in", "among the first 10", "among the relevant", "ratio"]
    total = pool["all", "en"]
    assert table[3] == [
        "English (en)",
        f"{total.mean:.1%} [{total.low:.1%}, {total.high:.1%}]",
        "33.3%",
        f"{total.mean * 3:.1f}x",
    ]


def test_the_preference_in_words() -> None:
    def estimate(mean: float, unbiased: float) -> Estimate:
        return Estimate(mean, mean, mean, mean, 1, unbiased)

    rows = {
        "de": {"de": estimate(0.91, 0.25), "en": estimate(0.09, 0.25), "th": estimate(0, 0.5)},
        "en": {"de": estimate(0.61, 0.25), "en": estimate(0.39, 0.25), "th": estimate(0, 0.5)},
        "th": {"de": estimate(0, 0.25), "en": estimate(0, 0.25), "th": estimate(1, 0.5)},
    }
    pool = PoolLanguages(10, rows | {"all": rows["de"]})
    assert pool.describe() == (
        "queries in German: 91% of the first 10 passages are in German, and 25% of the relevant "
        "ones; queries in English: 39% of the first 10 passages are in English, and 25% of the "
        "relevant ones"
    )
    without_golds = {"de": {"en": estimate(1, 1)}}
    assert PoolLanguages(10, without_golds | {"all": without_golds["de"]}).describe() == ""
    one = {"de": {"de": estimate(0.5, 0.5), "en": estimate(0.5, 0.5)}}
    assert PoolLanguages(10, one | {"all": one["de"]}).describe().count("queries in") == 1
