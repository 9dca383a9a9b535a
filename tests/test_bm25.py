"""BM25 by hand, compared with Pyserini's searcher, and in every setting of collections.

Lucene's BM25 of a term that stands f times in a passage of l terms, where n of N passages hold it
and the average length is a: ln(1 + (N - n + .5) / (n + .5)) * f / (f + k1 * (1 - b + b * l / a)).
"""
# mypy: allow-untyped-calls

import json
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from ir_measures import AP, RR, R

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption, NotReadable, NotWritable, UnknownName
from beir_hybrid.evaluation.default_measures import MEASURES
from beir_hybrid.evaluation.external_runs import evaluate_runs
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.pyserini import lucene
from beir_hybrid.pyserini.analyzers import find_analyzer
from beir_hybrid.pyserini.bm25 import bm25
from beir_hybrid.pyserini.java import start_java
from beir_hybrid.pyserini.lucene import build_lucene_index
from beir_hybrid.pyserini.lucene_search import open_searcher
from beir_hybrid.results.render import list_notes
from beir_hybrid.retrieval.runs import read_run
from tests.disks import full_disk
from tests.hash_encoder import ROOT
from tests.leaderboard_fixtures import read_files
from tests.numbered_collection import make_numbered_collection
from tests.test_cli_evaluate import RunCli, data_options, run_cli  # noqa: F401 - fixtures
from tests.test_external_runs import read_values

pytest.importorskip("pyserini", reason="BM25 needs it: the extra 'pyserini'")


def make_collection(
    passages: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    name: str = "small",
) -> Collection:
    corpus = {key: {"text": text} for key, text in passages.items()}
    first = next(iter(corpus))
    return bh.from_beir(corpus, queries, qrels or {key: {first: 1} for key in queries}, name=name)


def read_bm25_run(
    collection: Collection,
    view: tuple[str, str | None],
    folder: Path,
    **options: Any,
) -> dict[str, dict[str, float]]:
    """Return the run of a setting that BM25 writes."""
    bm25(collection, measures=[AP], runs=folder, **options)
    return read_run(folder / f"{collection.view(*view).name}.trec")


# In Vietnamese, for which there are no stop words and no stems.
THREE = {"vi:1": "Red red, fish!", "vi:2": "blue FISH", "vi:3": "green bird sky tree"}


def test_scores_by_hand(tmp_path: Path) -> None:
    collection = make_collection(
        THREE, {"vi:q:1": "red fish", "vi:q:2": "fish fish", "vi:q:3": "nothing"}
    )
    rare, common = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    # k1 = .9, b = .4; passages have 3, 2 and 4 terms.
    three, two = 0.9 * (0.6 + 0.4 * 3 / 3), 0.9 * (0.6 + 0.4 * 2 / 3)
    expected = {
        "vi:q:1": {
            "vi:1": rare * 2 / (2 + three) + common / (1 + three),
            "vi:2": common / (1 + two),
        },
        # A term that is asked for twice counts twice.
        "vi:q:2": {"vi:2": 2 * common / (1 + two), "vi:1": 2 * common / (1 + three)},
    }
    run = read_bm25_run(collection, ("vi", "vi"), tmp_path)
    assert run == {query: pytest.approx(scores, rel=1e-6) for query, scores in expected.items()}
    assert [list(scores) for scores in run.values()] == [["vi:1", "vi:2"], ["vi:2", "vi:1"]]
    # k1 = 0: how often a term stands there counts nothing, nor does the length.
    flat = read_bm25_run(collection, ("vi", "vi"), tmp_path, k1=0, b=1)
    assert flat["vi:q:1"] == pytest.approx({"vi:1": rare + common, "vi:2": common}, rel=1e-6)


def test_passages_without_a_common_term_are_not_retrieved() -> None:
    collection = make_collection(
        THREE,
        {"vi:q:1": "red fish", "vi:q:2": "red fish", "vi:q:3": "sun"},
        {"vi:q:1": {"vi:2": 1}, "vi:q:2": {"vi:3": 1}, "vi:q:3": {"vi:1": 1}},
    )
    results = bm25(collection, measures=[AP, R @ 1, RR])
    assert results.per_query()["AP"].to_pylist() == [0.5, 0.0, 0.0]
    assert results.summary()["mono"][R @ 1].mean == 0
    assert (results.kinds, results.model) == (("mono",), "BM25")
    # The rankings are long enough for all passages.
    assert list_notes(results) == ["1 of 3 rankings are empty: no passage shares a term"]


def test_ties_are_in_descending_order_of_ids(tmp_path: Path) -> None:
    texts = {f"vi:{number}": "same words" for number in range(300)}
    collection = make_collection(texts, {"vi:q:1": "words"})
    run = read_bm25_run(collection, ("vi", "vi"), tmp_path, depth=4)
    # As texts, 99 is the last of 0 to 299.
    assert list(run["vi:q:1"]) == ["vi:99", "vi:98", "vi:97", "vi:96"]
    assert len(set(run["vi:q:1"].values())) == 1


POOL = {
    "sw:1": "samaki mwekundu",
    "vi:1": "red fish",
    "vi:2": "blue fish",
    "th:1": "แมวกินปลาในบ้านหลังใหญ่",  # "a cat eats fish in a big house", without a space
}


def test_all_settings_and_measures_of_bias(tmp_path: Path) -> None:
    collection = make_collection(
        POOL,
        {"vi:q:1": "red samaki", "th:q:1": "ปลา"},
        {"vi:q:1": {"vi:1": 1, "sw:1": 1}, "th:q:1": {"th:1": 1, "vi:1": 1}},
    )
    results = bm25(collection, measures=[AP, RankDistance, LanguagePreference], runs=tmp_path)
    values = {(row["passages"], row["query"]): row["AP"] for row in results.per_query().to_pylist()}
    assert values == {
        ("vi", "vi:q:1"): 1.0,
        ("th", "th:q:1"): 1.0,
        ("sw", "vi:q:1"): 1.0,
        ("vi", "th:q:1"): 0.0,
        ("all", "vi:q:1"): 1.0,
        ("all", "th:q:1"): 0.5,  # one of two is found
    }
    pool = {row["query"]: row for row in results.per_query().to_pylist() if row["kind"] == "multi"}
    # "red" and "samaki" are as rare, and both passages as long: a tie, vi first.
    assert pool["vi:q:1"]["RankDistance"] == 1
    # The one at the top, the other not found, so at the end of four.
    assert pool["th:q:1"]["RankDistance"] == 3
    assert pool["th:q:1"]["LanguagePreference"] == 1
    # An empty file is no run: nothing in Vietnamese has a word of the Thai question.
    files = [path for path in tmp_path.glob("*.trec") if path.stat().st_size]
    assert len(files) == 5
    run_values = read_values(evaluate_runs(files, collection, measures=results.measures))
    assert run_values == {
        key: row for key, row in read_values(results).items() if key[1:3] != ("th", "vi")
    }


def test_queries_have_the_analyzer_of_the_passages(tmp_path: Path) -> None:
    collection = make_collection(
        {"de:1": "Das Haus", "vi:1": "Haus", "vi:2": "Häuser"},
        {"de:q:1": "Häuser", "vi:q:1": "Häuser"},
        {key: {"de:1": 1, "vi:1": 1} for key in ("de:q:1", "vi:q:1")},
    )
    bm25(collection, measures=[AP], runs=tmp_path)
    runs = {path.stem: read_run(path) for path in tmp_path.glob("*.trec")}
    hits_by_setting = {
        name: [key for hits in run.values() for key in hits] for name, run in runs.items()
    }
    assert hits_by_setting == {
        **{key: ["de:1"] for key in ("de-de", "vi-de")},  # German stems, whoever asks
        **{key: ["vi:2"] for key in ("de-vi", "vi-vi", "de-all", "vi-all")},
    }


def test_kinds_and_default_measures() -> None:
    collection = make_collection(POOL, {"vi:q:1": "fish"}, {"vi:q:1": {"vi:1": 1, "th:1": 1}})
    results = bm25(collection)
    assert results.kinds == ("mono", "cross", "multi")
    assert results.measures == MEASURES
    results_without_pool = bm25(collection, settings="mono cross")
    assert results_without_pool.kinds == ("mono", "cross")
    assert not any(isinstance(measure, BiasMeasure) for measure in results_without_pool.measures)
    assert results.provenance.unbiased["LanguagePreference"] == 0.5


def test_the_fingerprint_records_parameters_and_analyzers() -> None:
    texts = {"de:1": "Fisch", "en:1": "fish", "th:1": "ปลา"}
    collection = make_collection(texts, {"en:q:1": "fish"}, {"en:q:1": {"en:1": 1}})
    fingerprint = dict(bm25(collection, measures=[AP], k1=1.2, b=0.75).provenance.model.fingerprint)
    java = fingerprint.pop("java")
    assert java.split(".")[0].isdigit()
    assert fingerprint.pop("anserini").count(".") == 2
    assert fingerprint == {
        "kind": "bm25",
        "k1": 1.2,
        "b": 0.75,
        "analyzers": {"de": "GermanAnalyzer", "en": "DefaultEnglishAnalyzer", "th": "neutral"},
        "analyzer of the pool": "neutral",
    }


def test_equal_passages_share_an_index(tmp_path: Path) -> None:
    store = tmp_path / "indexes"
    first = build_lucene_index(make_collection(THREE, {"vi:q:1": "fish"}), "vi", store=store)
    times = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    equal = make_collection(THREE, {"vi:q:2": "other"}, name="another")
    assert build_lucene_index(equal, "vi", store=store).folder == first.folder
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == times
    # Another text, another passage, another analyzer, a pool: another index each.
    german = {key.replace("vi", "de"): text for key, text in THREE.items()}
    swahili = {key.replace("vi", "sw"): text for key, text in THREE.items()}
    variants: list[tuple[dict[str, str], str | None]]
    variants = [({**THREE, "vi:3": "x"}, "vi"), ({**THREE, "vi:4": "x"}, "vi"), (german, "de")]
    variants += [(swahili, "sw"), (swahili | THREE, None)]
    folders = {
        build_lucene_index(make_collection(passages, {"vi:q:1": "x"}), lang, store=store).folder
        for passages, lang in variants
    }
    assert len(folders) == 5
    assert {path for path in store.iterdir() if path.is_dir()} == folders | {first.folder}


def test_titles_are_indexed(tmp_path: Path) -> None:
    corpus = {"vi:1": {"title": "Fish", "text": "red"}, "vi:2": {"text": "blue"}}
    collection = bh.from_beir(corpus, {"vi:q:1": "fish"}, {"vi:q:1": {"vi:1": 1}})
    assert list(read_bm25_run(collection, ("vi", "vi"), tmp_path)["vi:q:1"]) == ["vi:1"]


def test_unusual_texts(tmp_path: Path) -> None:
    texts = {
        "vi:1": "astral \U0001f600\U00020000 sign",
        "vi:2": "nul\x00inside" + "x" * 300,
        "vi:3": "line\nbreak\u2028here",
        "vi:4": "?!",
    }
    queries = {
        "vi:q:1": "\U00020000",
        "vi:q:2": "break",
        "vi:q:3": "?",
        "vi:q:4": " ".join(f"word{number}" for number in range(2000)) + " astral",
    }
    run = read_bm25_run(make_collection(texts, queries), ("vi", "vi"), tmp_path)
    assert {query: list(scores) for query, scores in run.items()} == {
        "vi:q:1": ["vi:1"],
        "vi:q:2": ["vi:3"],
        "vi:q:4": ["vi:1"],
    }


@pytest.mark.usefixtures("mirror")
def test_scores_on_real_passages_equal_pyserini(tmp_path: Path) -> None:
    """Scores and AP equal those of `LuceneSearcher`, for English on an index of Anserini."""
    collection = bh.load("xquad-r", languages=["el", "en"])
    results = bm25(collection, measures=[AP], settings="mono", runs=tmp_path / "runs")
    values = {row["query"]: row["AP"] for row in results.per_query().to_pylist()}
    start_java()
    from pyserini.index.lucene import LuceneIndexer
    from pyserini.search.lucene import LuceneSearcher

    corpus = collection.view("en", "en").to_beir()[0]
    indexer = LuceneIndexer(str(tmp_path / "theirs"), threads=1)
    indexer.add_batch_dict([{"id": key, "contents": row["text"]} for key, row in corpus.items()])
    indexer.close()
    greek = LuceneSearcher(str(build_lucene_index(collection, "el").folder))
    greek.set_analyzer(find_analyzer("el").create())
    for lang, searcher in (("en", LuceneSearcher(str(tmp_path / "theirs"))), ("el", greek)):
        _, queries, qrels = collection.view(lang, lang).to_beir()
        query_ids = list(queries)[::8]
        hits = searcher.batch_search([queries[key] for key in query_ids], query_ids, k=1000)
        their_run = {key: {hit.docid: hit.score for hit in hits[key]} for key in query_ids}
        our_run = read_run(tmp_path / "runs" / f"{lang}-{lang}.trec")
        for key in query_ids:
            assert our_run.get(key, {}) == pytest.approx(their_run[key], abs=1e-3)
        # They lower tied scores a little, by ascending id; so ties are made ties again.
        tied_run = {
            q: {d: round(s, 3) for d, s in scores.items()} for q, scores in their_run.items()
        }
        sample_qrels = {key: qrels[key] for key in query_ids}
        expected = ir_measures.calc_aggregate([AP], sample_qrels, tied_run)[AP]
        assert sum(values[key] for key in query_ids) / len(query_ids) == pytest.approx(
            expected, abs=1e-3
        )
        assert expected > 0.5


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k1": -1}, BadOption, "k1 is -1; it must be a number from 0 on"),
        ({"k1": "x"}, BadOption, "k1 is 'x'; it must be a number from 0 on"),
        ({"k1": math.nan}, BadOption, "k1 is nan; it must be a number from 0 on"),
        ({"b": 1.5}, BadOption, "b is 1.5; it must be a number from 0 to 1"),
        ({"depth": 0}, BadOption, "depth is 0; it must be a whole number from 1 on"),
        ({"depth": 2.5}, BadOption, "depth is 2.5; it must be a whole number from 1 on"),
        ({"measures": "R@5", "depth": 4}, BadOption, "R@5 sees more than the 4 passages of a run"),
        ({"settings": "one-target"}, BadOption, "has no one-target settings"),
        ({"settings": "multy"}, UnknownName, "no kind of setting 'multy'; did you mean 'multi'"),
        ({"measures": "R"}, BadOption, "no measure R"),
    ],
)
def test_impossible_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    collection = make_collection(THREE, {"vi:q:1": "fish"})
    with pytest.raises(error, match=message):
        bm25(collection, **options)


def test_one_target_settings_are_refused() -> None:
    collection = make_collection(POOL, {"vi:q:1": "fish"}, {"vi:q:1": {"vi:1": 1}})
    with pytest.raises(BadOption, match="BM25 has mono, cross and multi settings, and no one-targ"):
        bm25(collection, settings="one-target")


def test_arguments_that_are_no_collection_are_refused() -> None:
    with pytest.raises(BadOption, match=r"a collection is wanted, not a str: bh\.load"):
        bm25("xquad-r")  # type: ignore[arg-type]
    with pytest.raises(BadData, match="passage ids with white space"):
        make_collection({"vi:1 2": "x"}, {"vi:q:1": "fish"})


def truncate_segments(folder: Path) -> None:
    for path in folder.glob("segments_*"):
        path.write_bytes(path.read_bytes()[:-9])


def change_id(folder: Path) -> None:
    """Change an id, which Lucene does not notice when it opens the index."""
    (path,) = folder.glob("*.cfs")
    content = path.read_bytes()
    assert b"vi:2" in content
    path.write_bytes(content.replace(b"vi:2", b"vi:4"))


def remove_files(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def replace_files(folder: Path) -> None:
    """Replace the files of an index by those of another."""
    other = build_lucene_index(
        make_collection({"vi:1": "x"}, {"vi:q:1": "x"}), "vi", store=folder.parent
    )
    remove_files(folder)
    for path in other.folder.iterdir():
        path.rename(folder / path.name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate_segments, "misplaced codec footer"),
        (change_id, "checksum failed"),
        (remove_files, "no segments"),
        (replace_files, "1 of 3 passages"),
    ],
)
def test_a_damaged_index_is_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], message: str
) -> None:
    collection = make_collection(THREE, {"vi:q:1": "red fish"})
    expected = read_bm25_run(
        collection, ("vi", "vi"), tmp_path / "before", store=tmp_path / "store"
    )
    index = build_lucene_index(collection, "vi", store=tmp_path / "store")
    damage(index.folder)
    assert (
        read_bm25_run(collection, ("vi", "vi"), tmp_path / "after", store=tmp_path / "store")
        == expected
    )
    (line,) = caplog.messages
    assert line.startswith(f"{index.folder} is damaged (")
    assert line.endswith("); it is made anew")
    assert message in line


def test_an_index_that_cannot_be_read_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = make_collection(THREE, {"vi:q:1": "fish"})
    index = build_lucene_index(collection, "vi", store=tmp_path)
    files = read_files(index.folder)

    def find_damage_with_few_files(folder: Path, passage_count: int) -> str:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
        try:
            return find_damage(folder, passage_count)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    find_damage = lucene._find_damage  # noqa: SLF001 - the only place where files may be few
    monkeypatch.setattr(lucene, "_find_damage", find_damage_with_few_files)
    with pytest.raises(NotReadable, match=f"cannot read {index.folder}: .*Too many open files"):
        build_lucene_index(collection, "vi", store=tmp_path)
    assert read_files(index.folder) == files
    monkeypatch.setattr(lucene, "_find_damage", find_damage)
    assert build_lucene_index(collection, "vi", store=tmp_path).folder == index.folder


def test_an_index_damaged_after_building_is_refused(tmp_path: Path) -> None:
    collection = make_collection(THREE, {"vi:q:1": "fish"})
    index = build_lucene_index(collection, "vi", store=tmp_path)
    truncate_segments(index.folder)
    message = (
        r"cannot be searched: .*codec footer.*; where it is damaged, remove it, and it is made"
    )
    with pytest.raises(BadData, match=message), open_searcher(index, 0.9, 0.4):
        pass


def test_a_full_disk_leaves_no_index(tmp_path: Path) -> None:
    store = tmp_path / "indexes"
    words = " ".join(f"word{number}" for number in range(5000))
    collection = make_collection({"vi:1": words, "vi:2": "fish"}, {"vi:q:1": "fish"})
    start_java()
    with (
        full_disk(9_000),
        pytest.raises(NotWritable, match=r"cannot write .*: .*File too large; free some room"),
    ):
        build_lucene_index(collection, "vi", store=store)
    assert [path for path in store.iterdir() if path.is_dir()] == []
    assert list(
        read_bm25_run(collection, ("vi", "vi"), tmp_path / "runs", store=store)["vi:q:1"]
    ) == ["vi:2"]


SCRIPT = """
import sys
from pathlib import Path
from beir_hybrid.pyserini.lucene import build_lucene_index
from tests.numbered_collection import make_numbered_collection
build_lucene_index(make_numbered_collection(20_000), "en", store=Path(sys.argv[1]))
"""


def test_a_killed_build_is_repeated(tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-c", SCRIPT, str(store)]
    with subprocess.Popen(command, cwd=ROOT) as running:
        while not list(store.glob(".*.tmp/*")):
            time.sleep(0.002)
            assert running.poll() is None
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert [path for path in store.iterdir() if not path.name.startswith(".")] == []
    collection = make_numbered_collection(20_000)
    run = read_bm25_run(collection, ("en", "en"), tmp_path / "runs", store=store)
    assert run == read_bm25_run(
        collection, ("en", "en"), tmp_path / "runs", store=tmp_path / "other"
    )
    # Who shares the number stands first; of others, which share "text", the last of ids do.
    assert list(run["en:q:1"])[:3] == ["en:00001", "en:19999", "en:19998"]
    remainders = [path for path in store.iterdir() if path.suffix != ".lock"]
    assert [len(path.name) for path in remainders] == [16]


def test_the_bm25_command(run_cli: RunCli, data_options: list[str], tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out"
    result = run_cli("bm25", *data_options, "--measures", "AP", "--output", out, "--runs")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "BM25 on mine: 2 languages, 4 queries, 4 passages, 6 settings"
    assert lines[1].split() == ["measure", "mono", "cross", "multi"]
    assert lines[-1] == f"saved in {out}"
    summary = json.loads((out / "results.json").read_text("utf-8"))["summary"]
    # Both of a language's passages are found by a word of their own. Across languages, en 1 finds
    # "w1 w2 w3", de 1 and 2 and en 2 find: "w2" none in English, "w4" none, "w3" de p1 only.
    assert {kind: row["AP"]["mean"] for kind, row in summary.items()} == {
        "mono": 1.0,
        "cross": (0.5 + 0.0) / 2,
        "multi": pytest.approx((((1.0 + 0.5) / 2) + (0.5 + 0.5) / 2) / 2),
    }
    assert len(list((out / "runs").glob("*.trec"))) == 6
    stored = read_files(out)
    for words, fact in (
        (["--depth", "2"], "another depth"),
        (["--settings", "mono"], "other settings"),
        (["--k1", "2"], "another k1"),
    ):
        result = run_cli(
            "bm25", *data_options, "--measures", "AP", "--output", out, "--runs", *words
        )
        assert (result.code, result.out) == (2, "")
        assert f"{out} holds results of 'BM25' with {fact}; name another folder" in result.err
        assert read_files(out) == stored
    assert run_cli("bm25", *data_options, "--measures", "AP", "--output", out).code == 0
    result = run_cli("bm25", *data_options, "--runs")
    assert result == (2, "", "BadOption: --runs takes --output, the folder that runs go to\n")
    result = run_cli("bm25", *data_options, "--k1", "-1")
    assert result == (2, "", "BadOption: k1 is -1.0; it must be a number from 0 on\n")


def test_bm25_is_public() -> None:
    assert bh.bm25 is bm25
