"""Results are saved whole or not at all, and say what they hold in a terminal and a notebook."""
# mypy: allow-untyped-calls

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Success, nDCG
from rich.console import Console

import beir_hybrid as bh
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption, NotWritable, UnknownName
from beir_hybrid.evaluation.default_measures import MEASURES
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.bias.peer import PEER
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.measures.ranked_judgements import RankedJudgements
from beir_hybrid.results.provenance import ModelProvenance
from beir_hybrid.results.render import format_value, list_notes, render_html, render_terminal
from beir_hybrid.results.results import Results
from beir_hybrid.results.timing import Timing
from tests.leaderboard_fixtures import read_files
from tests.sealed_files import rewrite


class WordCounts:
    """An encoder that counts words."""

    name = "words"
    fingerprint: Mapping[str, Any] = {"kind": "words"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 12), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[int(word[1:])] += 1
        return rows

    encode_passages = encode_queries


def evaluate_small(**options: Any) -> Results:
    """Evaluate two questions in two languages; scores count words."""
    corpus = {"de:1": "w1 w1", "de:2": "w1 w4", "en:1": "w1 w2 w2", "en:2": "w2 w3 w4"}
    queries = {"de:q:1": "w1", "de:q:2": "w5", "en:q:1": "w2", "en:q:2": "w4 w3"}
    qrels = {key: {f"de:{key[-1]}": 1, f"en:{key[-1]}": 1} for key in queries}
    documents = {key: {"text": text} for key, text in corpus.items()}
    groups = {key: f"question {key[-1]}" for key in queries}
    collection = bh.from_beir(documents, queries, qrels, groups=groups, name="small")
    options = {"measures": [RR, R @ 1, RankDistance]} | options
    return evaluate(WordCounts(), collection, **options)


def test_values_matrices_and_means_by_hand() -> None:
    results = evaluate_small(settings=["mono", "cross", "multi", "one-target"])
    assert results.kinds == ("mono", "cross", "multi", "one-target")
    # Scores of (de:1, de:2, en:1, en:2) and so ranks, of ties the later id first:
    # de:q:1 (2, 1, 1, 0); de:q:2 all 0; en:q:1 (0, 0, 2, 1); en:q:2 (0, 1, 0, 2).
    mono = results.values(RR, "mono")
    assert mono is not None
    assert mono.value.tolist() == [1, 1, 1, 1]
    assert mono.group.tolist() == [0, 1, 0, 1]
    assert mono.setting.tolist() == [0, 0, 1, 1]
    cross = results.values("RR", "cross")
    assert cross is not None
    assert cross.value.tolist() == [1, 1, 1 / 2, 1]
    pool = results.values(RR, "multi")
    assert pool is not None
    assert pool.value.tolist() == [1, 1, 1, 1]
    distance = results.values(RankDistance, "multi")
    assert distance is not None
    # Ranks of the golds: de:1 1, en:1 2; en:2 1, de:2 3; en:1 1, de:1 4; en:2 1, de:2 2.
    assert distance.value.tolist() == [1, 2, 3, 1]
    assert results.values(RankDistance, "mono") is None
    matrix = results.matrix(RR)
    assert (matrix.rows, matrix.columns) == (("de", "en"), ("de", "en"))
    assert matrix.values.tolist() == [[1, 1], [3 / 4, 1]]
    assert matrix["en", "de"] == 3 / 4
    # One target, in the pool: the gold of the other language is not there.
    # de:q:1: de:1 first; en:1 before de:2. de:q:2: de:2 after en:1; en:2 first.
    # en:q:1: de:1 last of three; en:1 first. en:q:2: de:2 first; en:2 first.
    target = results.matrix(RR, one_target=True)
    assert target.values.tolist() == [[(1 + 1 / 2) / 2, 1], [(1 / 3 + 1) / 2, 1]]
    assert results.means(RR)[Setting("cross", "en", "de")] == 3 / 4
    assert results.summary()["multi"][RankDistance].mean == (3 / 2 + 4 / 2) / 2
    assert results.summary()["multi"][RankDistance].unbiased == 1


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda it: it.values("RRR", "mono"), UnknownName, "no measure .* 'RRR'; did you mean 'RR"),
        (lambda it: it.means(R @ 2), UnknownName, "'R@2'; did you mean 'R@1'"),
        (lambda it: it.values(RR, "mon"), UnknownName, "no kind of setting 'mon'; .* 'mono'"),
        (lambda it: it.matrix("RD"), UnknownName, "no measure of these results 'RD'"),
        (lambda it: it.matrix(RankDistance), BadOption, "no mono or cross settings with RankDist"),
        (lambda it: it.matrix(RR, one_target=True), BadOption, "no one-target settings with RR"),
        (lambda it: it.matrix(RR)["de", "fr"], UnknownName, "no language 'fr'; there are de, en"),
        (lambda it: it.matrix(RR)["fr", "de"], UnknownName, "no query language 'fr'"),
    ],
)  # fmt: skip
def test_missing_measures_settings_and_languages_are_refused(
    ask: Callable[[Results], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ask(evaluate_small())


def test_a_kind_that_the_evaluation_left_out() -> None:
    assert evaluate_small(settings=["mono"]).values(RR, "cross") is None


def test_a_measure_that_has_no_value_anywhere() -> None:
    # One relevant passage a language tells PEER nothing.
    results = evaluate_small(measures=[RR, PEER, SameLanguageShare @ 2], settings=["mono", "multi"])
    assert {kind: list(row) for kind, row in results.summary().items()} == {
        "mono": [RR],
        "multi": [RR, SameLanguageShare @ 2],
    }
    assert list_notes(results)[-1] == "no value of PEER: no query here has what it looks at"
    assert results.means(PEER) == {}
    assert results.per_query()["PEER"].to_pylist() == pytest.approx([np.nan] * 8, nan_ok=True)
    nothing = evaluate_small(measures=[PEER])
    assert nothing.summary() == {"mono": {}, "cross": {}, "multi": {}}
    assert "no value of PEER" in render_html(nothing)
    assert show_in_terminal(nothing, 80).splitlines()[1].split() == [
        "measure",
        "mono",
        "cross",
        "multi",
    ]


def test_a_measure_of_the_pool_where_there_is_none() -> None:
    results = evaluate_small(measures=[RR, RankDistance, PEER], settings=["mono"])
    assert list_notes(results) == [
        "no value of RankDistance, PEER: it takes settings of the kind multi or image-pool"
    ]


class _OwnKind(BiasMeasure):
    """A measure of cross-lingual settings, as a contributor may declare one."""

    NAME = __name__ = "OwnKind"
    LABEL = SENTENCE = "own"
    DIRECTION = "near the unbiased value"
    SETTINGS = frozenset(("cross",))

    def _compute(self, judgements: RankedJudgements) -> np.ndarray:
        return np.ones(len(judgements))

    _compute_unbiased = _compute


def test_a_measure_with_settings_of_its_own_that_has_no_value() -> None:
    results = evaluate_small(measures=[RR, _OwnKind()], settings=["mono"])
    assert list_notes(results) == ["no value of OwnKind: it takes settings of the kind cross"]


def test_systems_are_not_ranked_by_a_contributed_measure_without_direction() -> None:
    results = evaluate_small(measures=[RR, _OwnKind()])
    assert results.summary()["cross"][_OwnKind()].unbiased == 1
    with pytest.raises(BadOption, match="neither high nor low values of OwnKind are better"):
        bh.rank_systems({"one": results}, _OwnKind(), "cross")


def save_small(folder: Path, **options: Any) -> Path:
    return evaluate_small(**options).save(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it.update(format=3), "has format 3, and this version reads 2: upgrade beir-"),
        (lambda it: it.update(format="new"), "json: format is 'new'; it must be a whole number"),
        (lambda it: it.pop("summary"), "results.json: summary is missing"),
        (lambda it: it.update(summary=[]), r"results.json: summary is \[\]; it must be a mapping"),
        (lambda it: it["summary"]["mono"]["RR"].pop("low"), "json: summary.mono.RR.low is missing"),
        (
            lambda it: it["summary"]["mono"]["RR"].update(mean=float("nan")),
            "json: summary.mono.RR.mean is nan; it must be a number",
        ),
        (lambda it: it["summary"].update(some={}), "summary is 'some'; it must be one of mono, c"),
        (lambda it: it["measures"].append("RR("), r"has the measure 'RR\(', which is none"),
        (lambda it: it["measures"].append("RRR"), "has the measure 'RRR', which is none"),
        (lambda it: it["measures"].append("AP"), "per_query.parquet has 0 columns 'AP'; it needs"),
        (lambda it: it.update(per_query="00"), "per_query.parquet is damaged: its checksum"),
        (
            lambda it: it["summary"]["mono"]["RR"].update(mean=8.055),
            "results.json: RR of mono settings is not that of the values beside it; evaluate again",
        ),
        (lambda it: it["summary"]["mono"]["RR"].update(queries=7), "RR of mono settings is not"),
        (lambda it: it["settings"].pop(), "the number of settings is not that of the values"),
        (
            lambda it: it["settings"][0]["values"].update(RR=0.25),
            "results.json: the setting .* is not that of the values beside it",
        ),
    ],
)
def test_damaged_records_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = save_small(tmp_path / "mine")
    rewrite(folder / "results.json", change)
    with pytest.raises(BadData, match=message):
        Results.load(folder)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    folder = save_small(tmp_path / "mine")
    table = folder / "per_query.parquet"
    intact = table.read_bytes()
    for damaged in (intact[:-9], intact[:100] + b"!" + intact[101:], b""):
        table.write_bytes(damaged)
        with pytest.raises(BadData, match=r"per_query\.parquet is damaged"):
            Results.load(folder)
    table.unlink()
    with pytest.raises(BadData, match=r"per_query\.parquet is not there"):
        Results.load(folder)
    table.write_bytes(intact)
    timing = (folder / "timing.json").read_bytes()
    (folder / "timing.json").unlink()  # not what values depend on
    assert Results.load(folder).timing == Timing()
    assert Results.load(folder).summary() == evaluate_small().summary()
    text = (folder / "results.json").read_bytes()
    for damaged in (text[:-20], b"", b"\xff\xfe", b"[]"):
        (folder / "results.json").write_bytes(damaged)
        with pytest.raises(
            BadData, match=r"results\.json is (not JSON|\[\]; it must be a mapping)"
        ):
            Results.load(folder)
    for name, content in (("results.json", text), ("timing.json", timing)):
        (folder / name).write_bytes(content.replace(b"1", b"2", 1))
        with pytest.raises(BadData, match=rf"{name} is damaged or was edited: its checksum is"):
            Results.load(folder)
        (folder / name).write_bytes(content)
    assert Results.load(folder).summary() == evaluate_small().summary()
    (folder / "results.json").unlink()
    with pytest.raises(BadData, match=r"mine holds no results: it lacks results\.json"):
        Results.load(folder)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable, match=r"cannot write .*/file/mine/"):
        evaluate_small().save(tmp_path / "file" / "mine")


def read_everything(results: Results) -> tuple[Any, ...]:
    """Return everything that is saved of results, to be compared: NaN is text here."""
    return results.provenance, results.summary(), repr(results.per_query().to_pydict())


def test_a_save_cut_off_before_the_table_has_its_name(tmp_path: Path) -> None:
    folder, second = save_small(tmp_path / "mine"), evaluate_small(measures=[R @ 1])
    stored = {path.name: path.read_bytes() for path in folder.iterdir()}
    second.save(folder)
    # What there is after the new `results.json` and before the last step.
    (folder / "per_query.parquet").rename(folder / "results.coming.parquet")
    (folder / "per_query.parquet").write_bytes(stored["per_query.parquet"])
    assert read_everything(Results.load(folder)) == read_everything(second)
    # The next one, cut off before its `results.json`, must not take that table away.
    model = ModelProvenance("x", fingerprint={"kind": object()})
    broken = replace(second, provenance=replace(second.provenance, model=model))
    with pytest.raises(TypeError, match="not JSON serializable"):
        broken.save(folder, replace=True)
    assert read_everything(Results.load(folder)) == read_everything(second)
    evaluate_small().save(folder)
    assert {path.name for path in folder.iterdir()} == stored.keys()
    assert read_everything(Results.load(folder)) == read_everything(evaluate_small())


CURE = "; name another folder, or remove the results in this one"


def test_results_of_another_evaluation_stay(tmp_path: Path) -> None:
    results = evaluate_small()
    folder = results.save(tmp_path / "mine")
    stored = read_files(folder)
    other_model = replace(results.provenance.model, name="other")
    other_name = replace(results.provenance, model=other_model)
    other_depth = replace(results.provenance, depth=5)
    for other, difference in (
        (replace(results, provenance=other_name), "of 'words', not of 'other'"),
        (replace(results, provenance=other_depth), "of 'words' with another depth"),
        (evaluate_small(settings="mono"), "of 'words' with other settings"),
    ):
        with pytest.raises(BadOption, match=f"mine holds results {difference}.*{CURE}"):
            other.save(folder)
        assert read_files(folder) == stored
    # A fact that the new results lack is a difference, too.
    fingerprint = {**results.provenance.model.fingerprint, "lower": True}
    lower = replace(results.provenance.model, fingerprint=fingerprint)
    replace(results, provenance=replace(results.provenance, model=lower)).save(tmp_path / "lower")
    with pytest.raises(BadOption, match="lower holds results of 'words' with another lower;"):
        results.save(tmp_path / "lower")
    # Other measures of the same evaluation replace the old ones, and so does whoever says so.
    evaluate_small(measures=[R @ 1]).save(folder)
    other.save(folder, replace=True)
    assert Results.load(folder).kinds == ("mono",)


@pytest.mark.parametrize("name", ["results.json", "per_query.parquet", "timing.json"])
def test_files_of_others_stay(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text('{"mine": 1}')
    with pytest.raises((BadOption, BadData), match=f"{name} .*{CURE}"):
        evaluate_small().save(folder)
    assert read_files(folder) == {".results.lock": b"", name: b'{"mine": 1}'}


def test_a_save_that_was_killed_at_first_is_made_good(tmp_path: Path) -> None:
    folder = save_small(tmp_path / "mine")
    (folder / "results.json").unlink()
    (folder / "per_query.parquet").rename(folder / "results.coming.parquet")
    assert evaluate_small().save(folder) == folder


SAVE_AGAIN_AND_AGAIN = """
import sys
from beir_hybrid.results.results import Results

one, two = (Results.load(folder) for folder in sys.argv[1:3])
print("loaded", flush=True)
for _ in range(10_000):
    one.save(sys.argv[3])
    two.save(sys.argv[3])
"""


def test_processes_that_save_at_once_and_are_killed_leave_one_whole(tmp_path: Path) -> None:
    first = save_small(tmp_path / "one")
    second = save_small(tmp_path / "two", measures=[R @ 1, Success @ 1, RR, RankDistance, P @ 2])
    either = [read_everything(Results.load(folder)) for folder in (first, second)]
    draw = np.random.default_rng(3)
    for _ in range(3):
        arguments = [
            sys.executable,
            "-c",
            SAVE_AGAIN_AND_AGAIN,
            str(first),
            str(second),
            str(tmp_path / "out"),
        ]
        rivals = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for rival in rivals:
            assert rival.stdout is not None
            assert rival.stdout.readline() == "loaded\n"
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "results.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3 + draw.random() * 0.1)
        for rival in rivals:
            os.kill(rival.pid, signal.SIGKILL)
            rival.communicate()
        assert read_everything(Results.load(tmp_path / "out")) in either
    evaluate_small().save(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir() if "timing" not in path.name}
    assert names == {".results.lock", "results.json", "per_query.parquet"}


def show_in_terminal(results: Results, width: int) -> str:
    text = StringIO()
    Console(file=text, width=width, force_terminal=False).print(render_terminal(results))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def test_the_table_in_a_terminal() -> None:
    # A bootstrap of two questions draws both or either: R@1 of en-de is 1/2, 0 or 1 then.
    assert show_in_terminal(evaluate_small(), 100).splitlines() == [
        "words on small: 2 languages, 4 queries, 4 passages, 6 settings",
        "measure               mono        cross         multi unbiased",
        "RR           1.0000 ±.0000 .8750 ±.1250 1.0000 ±.0000",
        "R@1          1.0000 ±.0000 .7500 ±.2500  .5000 ±.0000",
        "RankDistance                            1.7500 ±.2500   1.0000",
        "± half of the 95% interval, resampling groups of queries",
    ]


@pytest.mark.parametrize(("width", "few"), [*product((40, 60, 80, 120), (True, False))])
def test_no_figure_is_cut_off_or_broken(width: int, few: bool) -> None:
    measures = MEASURES[:3] if few else (*MEASURES, P @ 5, Success @ 1)
    results = evaluate_small(measures=measures)
    text = show_in_terminal(results, width)
    assert max(map(len, text.splitlines())) <= width
    figures = [
        word
        for row in results.summary().values()
        for estimate in row.values()
        for word in (
            format_value(estimate.mean),
            f"±{format_value((estimate.high - estimate.low) / 2)}",
        )
    ]
    words = text.split()
    for word in set(figures):
        assert words.count(word) >= figures.count(word), word
    names = [str(measure) for measure in measures]
    if width >= 80:
        assert all(any(line.startswith(name) for line in text.splitlines()) for name in names)


def name_with_markup() -> Results:
    results = evaluate_small()
    collection = replace(
        results.provenance.collection,
        name="<b>c</b>[link=x]c[/link]",
        caveat="a < b & [bold]c[/bold]",
    )
    provenance = replace(
        results.provenance,
        model=ModelProvenance("<script>alert('m')</script>[red]m[/red]"),
        collection=collection,
        truncation={"queries": 1, "passages": 1234},
    )
    return replace(results, provenance=provenance)


def test_names_that_look_like_markup() -> None:
    html = name_with_markup()._repr_html_()
    assert "&lt;script&gt;alert(&#x27;m&#x27;)&lt;/script&gt;[red]m[/red] on &lt;b&gt;c" in html
    assert "<script" not in html
    assert "<b>" not in html
    assert "<p>a &lt; b &amp; [bold]c[/bold]</p>" in html
    assert "<p>1 queries and 1,234 passages are longer than the model reads" in html
    assert show_in_terminal(name_with_markup(), 200).splitlines()[0] == (
        "<script>alert('m')</script>[red]m[/red] on <b>c</b>[link=x]c[/link]: "
        "2 languages, 4 queries, 4 passages, 6 settings"
    )


def test_the_table_in_a_notebook() -> None:
    html = evaluate_small(measures=[AP, nDCG @ 10, RankDistance])._repr_html_()
    assert "<tr><th>measure</th><th>monolingual</th><th>cross-lingual</th>" in html
    assert "<tr><td>RankDistance</td><td></td><td></td><td>1.7500 [1.5000, 2.0000]</td>" in html
    assert "<td>1.0000</td></tr>" in html
