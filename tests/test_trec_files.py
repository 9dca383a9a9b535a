"""Runs are judged by TREC's qrels alone, with the values of ir-measures and of a collection."""
# mypy: allow-untyped-calls

from pathlib import Path

import ir_measures
import pytest
from ir_measures import AP, infAP, nDCG
from typer.testing import CliRunner

import beir_hybrid as bh
from beir_hybrid.cli import app
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.results.render import list_notes
from beir_hybrid.sources.trec import CAVEAT

QRELS = """\
301 0 FR940202-2-00150 1
301 0 FBIS3-10082 2
301 0 LA010189-0018 -1
302 0 FBIS3-10082 0
302 0 FR940202-2-00150 1
"""
RUN = """\
301 Q0 FBIS3-10082 0 2.5 STANDARD
301 Q0 LA010189-0018 1 2.25 STANDARD
301 Q0 FT911-3 2 2.25 STANDARD
301 Q0 FR940202-2-00150 3 1 STANDARD
302 Q0 FT911-3 1 4.5 STANDARD
302 Q0 FR940202-2-00150 2 4 STANDARD
303 Q0 FT911-3 1 4.5 STANDARD
"""
LANGUAGES = """\
301 en
302 en
FR940202-2-00150 en
FBIS3-10082 fr
LA010189-0018 de

FT911-3 de
"""


def write_files(folder: Path) -> tuple[Path, Path, Path]:
    paths = folder / "qrels", folder / "results", folder / "languages"
    for path, text in zip(paths, (QRELS, RUN, LANGUAGES), strict=True):
        path.write_text(text)
    return paths


def test_values_are_those_of_the_files(tmp_path: Path) -> None:
    qrels, run, languages = write_files(tmp_path)
    collection = bh.load("trec", qrels=qrels, runs=str(run), id_languages=str(languages))
    assert collection.languages == ("de", "en", "fr")
    results = bh.evaluate_runs(run, collection, measures=[AP, infAP, nDCG @ 3, bh.RankDistance])
    expected = ir_measures.calc_aggregate(
        [AP, infAP, nDCG @ 3],
        ir_measures.read_trec_qrels(str(qrels)),
        ir_measures.read_trec_run(str(run)),
    )
    for measure, value in expected.items():
        (mean,) = results.means(measure).values()
        assert mean == pytest.approx(value, abs=1e-12)
    # Relevant passages of 301 are at 1 and 4; 302 has one alone.
    assert results.per_query()["RankDistance"][0].as_py() == 3
    assert list_notes(results)[0] == CAVEAT
    assert list_notes(results)[2] == (
        "the runs hold 1 query without a relevant passage here, which are ignored"
    )


def test_one_language_for_all_ids(tmp_path: Path) -> None:
    qrels, run, _ = write_files(tmp_path)
    collection = bh.load("trec", qrels=qrels, runs=[str(run)], id_languages="eng")
    results = bh.evaluate_runs(run, collection, measures=[AP])
    assert {setting.name: value for setting, value in results.means(AP).items()} == {
        "en-en": pytest.approx(((1 + 2 / 4) / 2 + 1 / 2) / 2, abs=1e-12)
    }


def test_the_command(tmp_path: Path) -> None:
    qrels, run, languages = write_files(tmp_path)
    arguments = ["evaluate", "--run", str(run), "--qrels", str(qrels)]
    result = CliRunner().invoke(app, [*arguments, "--id-languages", str(languages)])
    assert result.exit_code == 0, result.output
    assert "AP                             .6250" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a --dataset, or the --qrels of a --run"),
        (["--dataset", "jsonl", "--qrels", "q"], "--qrels judges a --run, and takes no --dataset"),
        (["--dataset", "jsonl", "--id-languages", "en"], "--id-languages belongs to --qrels"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--run", "none", *arguments])
    assert isinstance(result.exception, BadOption)
    assert str(result.exception) == message


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    qrels, run, languages = write_files(tmp_path)
    with pytest.raises(BadData, match="ids have no language, first '301'"):
        bh.load("trec", qrels=qrels, runs=str(run))
    languages.write_text("301 en\n")
    with pytest.raises(BadData, match=r"languages has no language for 5 ids, first '302'"):
        bh.load("trec", qrels=qrels, runs=str(run), id_languages=str(languages))
    languages.write_text("301\n")
    with pytest.raises(BadData, match="languages line 1: expected an id and its language"):
        bh.load("trec", qrels=qrels, runs=str(run), id_languages=str(languages))
    qrels.write_text(QRELS + "302 0 FBIS3-10082 1\n")
    with pytest.raises(BadData, match="judgement 6: 'FBIS3-10082' has two grades for '302'"):
        bh.load("trec", qrels=qrels, id_languages="en")
    with pytest.raises(BadData, match=r"there is no file .*gone"):
        bh.load("trec", qrels=tmp_path / "gone")
