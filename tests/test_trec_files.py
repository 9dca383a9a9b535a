"""Runs are judged by TREC's qrels alone, with the values of ir-measures and of a collection."""
# mypy: allow-untyped-calls

from functools import partial
from math import log2
from pathlib import Path

import ir_measures
import pyarrow.compute as pc
import pytest
from ir_measures import AP, RR, infAP, nDCG
from typer.testing import CliRunner

import beir_hybrid as bh
from beir_hybrid.cli import app
from beir_hybrid.collection.setting import Setting
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.results.render import list_notes
from beir_hybrid.sources.trec import CAVEAT
from tests.word_encoder import WordCountEncoder

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
    assert list_notes(results)[1] == (
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
        (
            ["--qrels", "q", "-o", "a=1"],
            "--option is an option of a --dataset, and --qrels is none",
        ),
        (["--qrels", "q", "--languages", "de"], "trec loads every language of the files"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--run", "none", *arguments])
    assert isinstance(result.exception, BadOption)
    assert str(result.exception) == message


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    qrels, run, languages = write_files(tmp_path)
    with pytest.raises(BadData, match="6 ids have no language, first '301': --id-languages "):
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


def test_a_run_of_neuclirbench(tmp_path: Path) -> None:
    """Its judgements are gains of 0, 1 and 3 for documents in three languages, without texts."""
    judged = {"101": {"f-0a": 3, "r-1b": 1, "z-2c": 0}, "205": {"z-4d": 1, "z-5e": 3}}
    ranked = {"101": ["z-2c", "f-0a", "r-9f", "r-1b"], "205": ["z-5e", "r-3a", "z-4d"]}
    qrels = tmp_path / "qrels.mlir.gains.txt"
    qrels.write_text(
        "".join(f"{q} 0 {d} {gain}\n" for q, gains in judged.items() for d, gain in gains.items())
    )
    run = tmp_path / "mlir.trec"
    bh.write_run(run, {q: {d: -n for n, d in enumerate(ids)} for q, ids in ranked.items()})
    codes = {"f": "fas", "r": "rus", "z": "zho"}
    documents = {d for ids in (*judged.values(), *ranked.values()) for d in ids}
    languages = tmp_path / "ids.tsv"
    languages.write_text(
        "101\teng\n205\teng\n" + "".join(f"{d}\t{codes[d[0]]}\n" for d in sorted(documents))
    )
    collection = bh.load("trec", qrels=qrels, runs=[str(run)], id_languages=str(languages))
    assert [setting.name for setting in collection.list_settings("multi")] == ["en-all"]
    values = bh.evaluate_runs(run, collection, measures="nDCG@20").per_query()["nDCG@20"]
    ideal = 3 + 1 / log2(3)
    assert values.to_pylist() == pytest.approx(
        [(3 / log2(3) + 1 / log2(5)) / ideal, (3 + 1 / log2(4)) / ideal]
    )


@pytest.mark.parametrize("grade", [0, -2])
def test_queries_without_a_relevant_passage(tmp_path: Path, grade: int) -> None:
    qrels, run, languages = write_files(tmp_path)
    with qrels.open("a") as file:
        file.write(f"303 0 FT911-3 {grade}\n304 0 FT911-3 0\n")
    with languages.open("a") as file:
        file.write("303 en\n304 en\n")
    load = partial(bh.load, "trec", qrels=qrels, runs=str(run), id_languages=str(languages))
    with pytest.raises(BadData, match="2 queries without a relevant passage, first 'en:q:303'"):
        load()
    measures = [AP, nDCG @ 3, infAP, RR @ 10, bh.RankDistance, bh.SameLanguageShare @ 3]
    values = {}
    for word in ("drop", "zero"):
        collection = load(unanswered=word)
        results = bh.evaluate_runs(run, collection, measures=measures)
        values[word] = {m: next(iter(results.means(m).values())) for m in measures[:5]}
        assert collection.options["unanswered"] == word
    assert collection.query_counts == {"en": 4}
    # 304 is not even in the run: ir-measures counts it as 0, too.
    expected = ir_measures.calc_aggregate(
        measures[:4],
        [row for row in ir_measures.read_trec_qrels(str(qrels)) if row.relevance > -2],
        ir_measures.read_trec_run(str(run)),
    )
    n_queries = 4 if grade == 0 else 3  # of ir-measures' average
    for measure, value in expected.items():
        assert values["zero"][measure] == pytest.approx(value * n_queries / 4, abs=1e-12)
        assert values["drop"][measure] == pytest.approx(value * n_queries / 2, abs=1e-12)
    assert values["zero"][bh.RankDistance] == values["drop"][bh.RankDistance]
    table = results.per_query()
    assert table["AP"].to_pylist()[2:] == [0, 0]
    assert str(table["RankDistance"].to_pylist()[2:]) == "[nan, nan]"


def test_unanswered_queries_of_an_encoder() -> None:
    corpus = {f"{lang}:{n}": {"text": f"w{n}"} for lang in ("de", "en") for n in range(3)}
    queries = {"de:q:1": "w1", "en:q:1": "w1", "en:q:2": "w2"}
    qrels = {"de:q:1": {"de:1": 1, "en:1": 1}, "en:q:1": {"en:1": 1}, "en:q:2": {"en:2": 0}}
    collection = bh.from_beir(corpus, queries, qrels, unanswered="zero")
    measures = [AP, infAP, bh.RankDistance]
    results = bh.evaluate(WordCountEncoder(), collection, measures=measures)
    means = {setting.name: value for setting, value in results.means(AP).items()}
    # en:q:2 is judged in English alone: 0 there and in the pool, and nowhere else.
    assert means == {"de-de": 1, "de-en": 1, "en-en": 0.5, "de-all": 1, "en-all": 0.5}
    inferred = {setting.name: value for setting, value in results.means(infAP).items()}
    assert inferred["en-en"] == 0.5
    distances = {setting.name: n for setting, n in results.means(bh.RankDistance).items()}
    assert distances == {"de-all": 1}


def test_unanswered_queries_stay_in_exports(tmp_path: Path) -> None:
    corpus = {f"en:{number}": {"text": f"w{number}"} for number in (1, 2)}
    qrels = {"en:q:1": {"en:1": 1}, "en:q:2": {"en:1": 0}}
    collection = bh.from_beir(
        corpus, {"en:q:1": "w1", "en:q:2": "w2"}, qrels, unanswered="zero", name="z"
    )
    run = bh.write_run(tmp_path / "en-en.trec", {"en:q:1": {"en:1": 1}, "en:q:2": {"en:2": 1}})
    copies = [collection, bh.read_folder(bh.write_folder(collection, tmp_path / "z"))]
    assert [bh.evaluate_runs(run, copy, measures=[AP]).means(AP) for copy in copies] == [
        {Setting("mono", "en", "en"): 0.5}
    ] * 2
    _, queries, judgements = collection.view("en", "en").to_beir()
    assert list(queries) == ["en:q:1", "en:q:2"]
    assert judgements == qrels


def test_a_grade_with_a_typo_is_no_header(tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.tsv"
    for grade in ("1.O", "1,0"):
        qrels.write_text(f"en:q1\ten:d0\t{grade}\nen:q1\ten:d1\t1\n")
        with pytest.raises(BadData, match=f"line 1.*{grade}"):
            bh.load("trec", qrels=qrels)


def test_an_id_with_two_languages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("1 0 1 1\n2 0 2 1\n")
    (tmp_path / "languages").write_text("1 en\n2 en\n1 de\n2 de\n")
    with pytest.raises(BadData, match="languages line 3: '1' has two languages"):
        bh.load("trec", qrels=tmp_path / "qrels", id_languages=str(tmp_path / "languages"))


def test_an_id_of_a_query_and_of_a_passage_in_one_language(tmp_path: Path) -> None:
    """As in ArguAna, whose queries are passages."""
    (tmp_path / "qrels").write_text("x1 0 x1 0\nx1 0 y1 1\nx2 0 y2 1\n")
    (tmp_path / "languages").write_text("x1 en\nx2 en\ny1 de\ny2 de\n")
    collection = bh.load("trec", qrels=tmp_path / "qrels", id_languages=str(tmp_path / "languages"))
    assert (collection.query_counts, collection.passage_counts) == ({"en": 2}, {"de": 2, "en": 1})


def test_ids_with_longer_language_tags(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("eng:q:1 0 deu:1 1\neng:q:1 0 eng:1 1\n")
    run = tmp_path / "mine.trec"
    run.write_text("eng:q:1 Q0 eng:1 1 2.5 x\neng:q:1 Q0 deu:2 2 1.5 x\n")
    collection = bh.load("trec", qrels=tmp_path / "qrels", runs=str(run))
    assert collection.languages == ("de", "en")
    results = bh.evaluate_runs(run, collection, measures=[AP])
    assert results.means(AP) == {Setting("multi", "en", "all"): 0.5}


def test_files_are_recorded_with_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    collection = bh.load("trec", qrels="qrels", runs="results", id_languages="languages")
    assert collection.dataset is not None
    assert collection.dataset["options"] == {
        "qrels": str(tmp_path / "qrels"),
        "runs": [str(tmp_path / "results")],
        "id_languages": str(tmp_path / "languages"),
    }
    monkeypatch.chdir("/")
    with pytest.raises(BadOption, match=r"there is no file nowhere\.tsv, and no such language"):
        bh.load("trec", qrels=tmp_path / "qrels", id_languages="nowhere.tsv")


def test_a_run_that_may_be_of_a_pool_says_how_it_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    qrels, run, languages = write_files(tmp_path)
    collection = bh.load("trec", qrels=qrels, runs=run, id_languages=languages)
    ids = collection.passages.filter(pc.equal(collection.passages["lang"], "en"))["id"]
    english = tmp_path / "mine.trec"
    query = collection.queries["id"][0].as_py()
    english.write_text(f"{query} Q0 {ids[0].as_py()} 1 1 x\n")
    bh.evaluate_runs(english, collection, measures=[AP])
    assert "mine.trec holds passages in en alone and counts as en-en" in caplog.text
    assert "en-all.trec" in caplog.text


def test_runs_of_one_language_in_one_file_say_how_they_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = {f"{lang}:{i}": {"text": "x"} for lang in ("de", "en") for i in range(2)}
    qrels = {f"{lang}:q:1": {f"{lang}:0": 1} for lang in ("de", "en")}
    collection = bh.from_beir(corpus, dict.fromkeys(qrels, "x"), qrels)
    path = bh.write_run(tmp_path / "mono.trec", {"de:q:1": {"de:0": 1.0}, "en:q:1": {"en:0": 1.0}})
    bh.evaluate_runs(path, collection, measures=[AP])
    assert "mono.trec holds passages in one language for each language of queries" in caplog.text
    assert "counts as de-all, en-all; " in caplog.text
    assert "such as de-de.trec" in caplog.text
    caplog.clear()
    bh.write_run(path, {"de:q:1": {"de:0": 1.0, "en:0": 0.5}, "en:q:1": {"en:0": 1.0}})
    bh.evaluate_runs(path, collection, measures=[AP])
    assert not caplog.text
