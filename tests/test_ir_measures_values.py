"""Every measure of every provider has the value that ir-measures has for the same TREC files."""
# mypy: allow-untyped-calls

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, Bpref, DefaultPipeline, Judged, Measure, NumRet, infAP, nDCG
from ir_measures.measures import registry

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.results.results import Results
from tests.word_encoder import WordCountEncoder

# Values of parameters to try, beside leaving the parameter out.
VALUES: dict[str, tuple[object, ...]] = {
    "T": (2.0,),
    "beta": (2.0,),
    "cutoff": (1, 3, 10, 30),
    "dcg": ("log2", "exp-log2"),
    "gains": ({1: 3, 2: 1},),
    "judged_only": (True,),
    "max_rel": (3,),
    "min_rel": (0,),
    "normalize": (False,),
    "p": (0.8,),
    "recall": (0.1, 0.5),
    "rel": (2,),
    "relative": (True,),
}
DOCUMENTS = [f"FR94{n:04}-{n % 3}-{7 * n % 23:05}" for n in range(24)]


def list_measures() -> Iterator[Measure]:
    """Yield every measure that an installed provider of ir-measures computes of qrels and run."""
    for measure in dict.fromkeys(registry.values()):
        if isinstance(measure, BiasMeasure):
            continue
        names = list(measure.SUPPORTED_PARAMS)
        for values in product(*((None, *VALUES.get(name, ())) for name in names)):
            params = {n: v for n, v in zip(names, values, strict=True) if v is not None}
            variant = measure(**params)
            try:
                variant.validate_params()
            except AssertionError:  # a parameter is missing
                continue
            if DefaultPipeline.supports(variant):
                yield variant


MEASURES = list(list_measures())


def write_files(folder: Path, seed: int) -> tuple[Path, Path]:
    """Write qrels and a run as trec_eval's tests have them, with grades from -2 to 3 and ties."""
    draw = np.random.default_rng(seed)
    qrels, run = [], []
    for query in (f"{lang}:q:{number}" for lang in ("de", "en") for number in (301, 302, 303)):
        grades = draw.choice([-2, -1, 0, 0, 1, 1, 2, 3], len(DOCUMENTS)).tolist()
        judged = draw.permutation(len(DOCUMENTS))[:16].tolist()
        grades[judged[0]] = 1
        judged.sort(key=name_document)  # Compat breaks ties by the order of the judgements
        qrels += [f"{query} 0 {name_document(n)} {grades[n]}" for n in judged]
        retrieved = draw.permutation(len(DOCUMENTS))[: draw.integers(8, 24)].tolist()
        scores = draw.integers(0, 9, len(DOCUMENTS)) / 4  # with ties
        run += [f"{query} Q0 {name_document(n)} 0 {scores[n]} STANDARD" for n in retrieved]
    paths = folder / f"qrels{seed}.test", folder / f"results{seed}.test"
    for path, lines in zip(paths, (qrels, run), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths


def name_document(number: int) -> str:
    return f"{('de', 'en')[number % 2]}:{DOCUMENTS[number]}"


def make_collection(qrels: Path) -> Collection:
    corpus = {name_document(n): {"text": f"w{n}"} for n in range(len(DOCUMENTS))}
    grades: dict[str, dict[str, int]] = {}
    for row in ir_measures.read_trec_qrels(str(qrels)):
        grades.setdefault(row.query_id, {})[row.doc_id] = row.relevance
    queries = {query: f"w{number} w1 w2" for number, query in enumerate(grades)}
    return bh.from_beir(corpus, queries, grades, name="trec")


def number_queries(rows: object) -> list[tuple[object, ...]]:
    """Return rows of ir-measures with numbers for queries: gdeval reads no other ids."""
    assert isinstance(rows, list)
    numbers = {"de": 1000, "en": 2000}
    return [
        row._replace(query_id=str(numbers[row.query_id[:2]] + int(row.query_id[-3:])))
        for row in rows
    ]


def calculate(measure: Measure, qrels: Path, run: Path) -> dict[str, float]:
    """Return ir-measures' own value of one measure for each query, from the files."""
    qrels_rows = number_queries(list(ir_measures.read_trec_qrels(str(qrels))))
    run_rows = number_queries(list(ir_measures.read_trec_run(str(run))))
    metrics = ir_measures.iter_calc([measure], qrels_rows, run_rows)
    values = {metric.query_id: metric.value for metric in metrics}
    return {f"{lang}:q:{n}": values.get(str(base + n), np.nan)
            for lang, base in (("de", 1000), ("en", 2000)) for n in (301, 302, 303)}  # fmt: skip


def assert_values(results: Results, qrels: Path, run: Path) -> None:
    rows = [row for row in results.per_query().to_pylist() if row["kind"] == "multi"]
    for measure in results.measures:
        values = {row["query"]: row[str(measure)] for row in rows}
        expected = calculate(measure, qrels, run)
        assert values == pytest.approx(expected, abs=1e-12, nan_ok=True), measure


def test_all_providers_that_are_here_are_tried() -> None:
    installed = {provider.NAME for provider in DefaultPipeline.providers if provider.is_available()}
    ours = {"beir_hybrid", "runtime"}  # runtime holds functions of the user's
    used = {
        next(p.NAME for p in DefaultPipeline.providers if p.is_available() and p.supports(measure))
        for measure in MEASURES
    }
    assert installed - used <= ours
    assert {str(measure) for measure in MEASURES} >= {"infAP", "Bpref", "ERR@10", "Compat", "SetF"}


@pytest.mark.parametrize("seed", range(3))
def test_values_of_a_run(seed: int, tmp_path: Path) -> None:
    qrels, run = write_files(tmp_path, seed)
    collection, measures = make_collection(qrels), []
    for measure in MEASURES:
        try:
            calculate(measure, qrels, run)
            measures.append(measure)
        except ZeroDivisionError:
            with pytest.raises(BadData, match=r"Accuracy.* for this run: .*division.*; leave it"):
                bh.evaluate_runs(run, collection, measures=[measure])
    assert len(measures) > len(MEASURES) - 10
    assert_values(bh.evaluate_runs(run, collection, measures=measures), qrels, run)


def test_queries_that_a_run_lacks(tmp_path: Path) -> None:
    qrels, run = write_files(tmp_path, 1)
    lines = run.read_text().splitlines(keepends=True)
    run.write_text("".join(line for line in lines if not line.startswith("de:q:302")))
    measures = [measure for measure in MEASURES if measure.NAME != "Accuracy"]
    results = bh.evaluate_runs(run, make_collection(qrels), measures=measures)
    assert_values(results, qrels, run)


def test_values_of_an_encoder(tmp_path: Path) -> None:
    qrels, _ = write_files(tmp_path, 9)
    collection = make_collection(qrels)
    folder = tmp_path / "runs"
    measures = [measure for measure in MEASURES if measure.NAME != "Accuracy"]
    results = bh.evaluate(
        WordCountEncoder(), collection, measures=measures, settings="multi", runs=folder
    )
    run = tmp_path / "all.trec"
    run.write_text("".join(path.read_text() for path in sorted(folder.glob("*-all.trec"))))
    assert_values(results, qrels, run)


def test_passages_that_are_in_the_pool_and_not_judged(tmp_path: Path) -> None:
    """Worked out from the definition of Yilmaz and Aslam, as trec_eval has it."""
    grades = {"en:a": 1, "en:b": -1, "en:c": 0, "en:d": 1}
    scores = {"en:b": 4.0, "en:a": 3.0, "en:c": 2.0, "en:d": 1.0}
    corpus = {key: {"text": key} for key in grades}
    collection = bh.from_beir(corpus, {"en:q:1": "?"}, {"en:q:1": grades})
    path = bh.write_run(tmp_path / "run", {"en:q:1": scores})
    results = bh.evaluate_runs(path, collection, measures=[AP, infAP, Bpref])
    # Rank 2: half of the place above is in the pool, none of it judged: .5 + .5 * 1 * e / 2e.
    # Rank 4: of three places above all are in the pool, one of two judged is relevant.
    epsilon = 0.00001
    at_4 = 1 / 4 + 3 / 4 * (1 + epsilon) / (2 + 2 * epsilon)
    (values,) = results.per_query().select(["AP", "infAP", "Bpref"]).to_pylist()
    assert values == pytest.approx(
        {"AP": (1 / 2 + 2 / 4) / 2, "infAP": (0.75 + at_4) / 2, "Bpref": 0.5}, abs=1e-12
    )


def test_values_do_not_depend_on_other_measures(tmp_path: Path) -> None:
    """As they do in ir-measures, where nDCG takes the gains of another one."""
    qrels, run = write_files(tmp_path, 2)
    measures = [AP, nDCG(gains={1: 3}) @ 5, nDCG @ 5, AP(judged_only=True), NumRet]
    results = bh.evaluate_runs(run, make_collection(qrels), measures=measures)
    assert len(results.measures) == len(measures)
    assert_values(results, qrels, run)


@pytest.mark.parametrize("name", ["AP(rel=0)", "RankDistance(rel=0)"])
def test_a_grade_that_is_never_relevant(name: str) -> None:
    with pytest.raises(BadOption, match="rel, the least relevant grade, must be at least 1"):
        bh.evaluate_runs("none", make_collection_of_one(), measures=[name])


def make_collection_of_one() -> Collection:
    return bh.from_beir({"en:a": {"text": "a"}}, {"en:q:1": "?"}, {"en:q:1": {"en:a": 1}})


def test_queries_with_negative_grades_alone(tmp_path: Path) -> None:
    """Judged passages are judged, and retrieved ones retrieved, whatever their grades."""
    corpus = {f"en:{n}": {"text": str(n)} for n in range(4)}
    qrels = {"en:q:1": {"en:0": -1, "en:1": -2}, "en:q:2": {"en:0": 1}}
    collection = bh.from_beir(corpus, dict.fromkeys(qrels, "?"), qrels, unanswered="zero")
    scores = {f"en:{n}": float(4 - n) for n in range(4)}
    run = bh.write_run(tmp_path / "run", dict.fromkeys(qrels, scores))
    measures = [Judged @ 4, AP, NumRet]
    table = bh.evaluate_runs(run, collection, measures=measures).per_query()
    assert table.select(["Judged@4", "AP", "NumRet"]).to_pylist() == [
        {"Judged@4": 0.5, "AP": 0.0, "NumRet": 4.0},
        {"Judged@4": 0.25, "AP": 1.0, "NumRet": 4.0},
    ]


def test_weights_of_negative_grades_are_refused() -> None:
    with pytest.raises(BadOption, match="weights"):
        bh.evaluate_runs(
            "none", make_collection_of_one(), measures=[bh.PEER(weights={0: 1, -1: 2}) @ 10]
        )
