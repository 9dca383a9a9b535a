"""Fusion of runs by hand, and refused arguments."""
# mypy: allow-untyped-calls

from pathlib import Path

import pytest

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.pyserini.fusion import fuse
from beir_hybrid.retrieval.runs import Run, read_run, write_run
from tests.test_cli_evaluate import RunCli, data_options, run_cli  # noqa: F401 - fixtures

ONE: Run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
TWO: Run = {"q": {"d": 5.0, "b": 10.0}}


def list_hits(run: Run, query: str = "q") -> list[tuple[str, object]]:
    """Return documents and scores in the order of the run."""
    return [(key, pytest.approx(score, abs=1e-12)) for key, score in run[query].items()]


def test_reciprocal_ranks() -> None:
    expected = [("b", 1 / 62 + 1 / 61), ("a", 1 / 61), ("d", 1 / 62), ("c", 1 / 63)]
    assert list_hits(fuse([ONE, TWO])) == expected


def test_equal_scores_are_ranked_by_descending_id() -> None:
    # Equal scores: b before a; the order in which they are given does not count.
    three: Run = {"q": {"a": 7.0, "b": 7.0}}
    fused = fuse([ONE, TWO, three])
    expected = {"b": 1 / 62 + 2 / 61, "a": 1 / 61 + 1 / 62, "d": 1 / 62, "c": 1 / 63}
    assert list_hits(fused) == list(expected.items())
    # As trec_eval, which compares float32: these two differ as doubles only.
    near: Run = {"q": {"a": 7.0, "b": 7.0 - 1e-9}}
    assert list_hits(fuse([ONE, TWO, near])) == list(expected.items())


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        # One becomes a 1, b 1/2, c 0; two b 1, d 0. Ties go by descending id.
        (0.75, {"a": 0.75, "b": 0.375 + 0.25, "d": 0.0, "c": 0.0}),
        (None, {"b": 0.25 + 0.5, "a": 0.5, "d": 0.0, "c": 0.0}),
        (0.0, {"b": 1.0, "d": 0.0, "c": 0.0, "a": 0.0}),
    ],
)
def test_interpolation(alpha: float | None, expected: dict[str, float]) -> None:
    assert list_hits(fuse([ONE, TWO], "interpolation", alpha=alpha)) == list(expected.items())
    assert ONE == {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}


def test_equal_scores_are_all_normalized_to_one() -> None:
    fused = fuse([{"q": {"a": 4.0, "b": 4.0}}, {"q": {"c": -1.0}}], "interpolation", alpha=0.25)
    assert list_hits(fused) == [("c", 0.75), ("b", 0.25), ("a", 0.25)]


def test_scores_are_normalized_query_by_query() -> None:
    first: Run = {"q": {"a": 3.0, "b": 1.0}, "r": {"a": 300.0, "b": 100.0, "c": 200.0}}
    second: Run = {"r": {"b": 9.0}, "s": {"z": 1.0}}
    fused = fuse([first, second], "interpolation")
    assert list_hits(fused, "q") == [("a", 0.5), ("b", 0.0)]
    assert list_hits(fused, "r") == [("b", 0.5), ("a", 0.5), ("c", 0.25)]
    assert list_hits(fused, "s") == [("z", 0.5)]


def test_depth_limits_the_passages_of_a_query() -> None:
    assert list(fuse([ONE, TWO], depth=2)["q"]) == ["b", "a"]


def test_ids_that_look_like_numbers_or_missing_values(tmp_path: Path) -> None:
    """Pyserini's reader would turn these ids into 7 and NaN, and believe the ranks."""
    path = tmp_path / "run.trec"
    path.write_text("007 Q0 NA 2 5.0 x\n007 Q0 1e3 1 4.0 x\n", "utf-8")
    fused = fuse([path, {"007": {"1e3": 1.0}}])
    assert list_hits(fused, "007") == [("1e3", 1 / 62 + 1 / 61), ("NA", 1 / 61)]


@pytest.mark.parametrize(
    ("runs", "options", "error", "message"),
    [
        ([ONE], {}, BadOption, "rrf takes at least two runs, not 1"),
        (
            [ONE, TWO, ONE],
            {"method": "interpolation"},
            BadOption,
            "interpolation takes two runs, not 3",
        ),
        ([ONE, TWO], {"method": "rff"}, UnknownName, "no method of fusion 'rff'; did you mean"),
        ([ONE, TWO], {"alpha": 0.5}, BadOption, "alpha is an option of interpolation, and rrf"),
        (
            [ONE, TWO],
            {"method": "interpolation", "alpha": 1.5},
            BadOption,
            "alpha is 1.5; it must be a number from 0 to 1",
        ),
        ([ONE, TWO], {"depth": 0}, BadOption, "depth is 0; it must be a whole number from 1 on"),
        ([ONE, {}], {}, BadData, "run 2 of 2 is empty: there is nothing to fuse"),
        (
            [ONE, {"en:q": {"a": 1.0}}],
            {},
            BadData,
            "the runs have no query in common; their first ones are 'q', 'en:q'",
        ),
        (
            [ONE, {"q": {"a": 1.0, "b": 1e39}}],
            {},
            BadData,
            r"query 'q': document 'b' has the score 1e\+39, no float32",
        ),
    ],
)
def test_impossible_fusions_are_refused(
    runs: list[Run], options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fuse(runs, **options)  # type: ignore[arg-type] # wrong ones among them


def test_the_fuse_command_writes_a_run_that_can_be_evaluated(
    run_cli: RunCli,  # noqa: F811
    data_options: list[str],  # noqa: F811
    tmp_path: Path,
) -> None:
    # The relevant passages of the two queries are p1 and p2.
    query_1, query_2 = "en:q:1", "en:q:2"
    first: Run = {query_1: {"en:p2": 3.0, "en:p1": 1.0}, query_2: {"en:p2": 2.0, "en:p1": 1.0}}
    second: Run = {query_1: {"en:p1": 9.0, "en:p2": 8.0}, query_2: {"en:p2": 5.0}}
    files = [write_run(tmp_path / name, run) for name, run in (("one", first), ("two", second))]
    path = tmp_path / "en-en.trec"
    line = ["--method", "interpolation", "--alpha", "0.25", "--output", path]
    result = run_cli("fuse", *files, *line)
    assert result == (0, f"2 queries in {path}\n", "")
    # Query 1: p1 0 + .75, p2 .25 + 0; 2: p2 .25 + .75, p1 0.
    assert read_run(path) == {
        query_1: {"en:p1": 0.75, "en:p2": 0.25},
        query_2: {"en:p2": 1.0, "en:p1": 0.0},
    }
    evaluation = run_cli("evaluate", "--run", path, *data_options, "--measures", "AP")
    assert evaluation.out.splitlines()[2].split()[:2] == ["AP", "1.0000"]
    result = run_cli("fuse", files[0], "--output", path)
    assert result == (2, "", "BadOption: rrf takes at least two runs, not 1\n")


def test_fuse_is_public() -> None:
    assert bh.fuse is fuse
