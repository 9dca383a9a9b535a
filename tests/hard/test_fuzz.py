"""Whatever is in a file, reading it succeeds or raises an error of ours.

Each specimen is a sound file; hypothesis changes its bytes, lines or values. The long form tries
more than 200,000 files.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beir_hybrid as bh
from beir_hybrid.cli import app
from beir_hybrid.cli.printing import to_json
from beir_hybrid.cli.trainer_arguments import read_config
from beir_hybrid.cli.training_options import _parse_yaml_values
from beir_hybrid.collection import open_collection
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.shards import read_shard
from beir_hybrid.encoding.store import encode
from beir_hybrid.errors import BeirHybridError
from beir_hybrid.evaluation.external_vectors import read_vectors
from beir_hybrid.images import inspect_image
from beir_hybrid.integrity import CHECKSUM, format_sealed_json, record_files, write_sealed_json
from beir_hybrid.languages import normalise
from beir_hybrid.measures.parsing import parse_measures
from beir_hybrid.pairs.code_switching import code_switch
from beir_hybrid.pairs.reading import read_bitext
from beir_hybrid.pyserini.dense import verify_index
from beir_hybrid.pyserini.index import build_index
from beir_hybrid.pyserini.search import search_index
from beir_hybrid.report.entry_files import read_entries
from beir_hybrid.report.model_page import list_commands, list_facts
from beir_hybrid.report.recipes import _describe_training
from beir_hybrid.report.reproduction_check import CheckedAverage
from beir_hybrid.report.reproduction_record import write_reproduction
from beir_hybrid.results.mteb import list_mteb_scores, read_mteb, write_mteb
from beir_hybrid.results.render import list_notes, render_html
from beir_hybrid.results.storage import read_record, write_results
from beir_hybrid.retrieval.runs import name_checksum_file
from beir_hybrid.training.checkpoints import CHECKSUMS, _verify_checkpoint, is_final_checkpoint
from beir_hybrid.training.record import is_finished, write_record
from tests.boards import build_capitals, evaluate_system
from tests.families import make_sparse
from tests.hard.effort import IS_LONG, choose_count
from tests.hard.mutations import (
    NUMBERS,
    TEXTS,
    mutate_bytes,
    mutate_json,
    mutate_json_lines,
    mutate_words,
)
from tests.image_files import CATS, make_image, write_images_folder
from tests.letter_encoder import LetterEncoder
from tests.small_collections import make_word_collection

pytestmark = pytest.mark.hard

LIMITS = settings(
    max_examples=choose_count(40, 5000),
    deadline=None,
    database=None,
    derandomize=not IS_LONG,
    suppress_health_check=list(HealthCheck),
)
Mutate = Callable[[bytes], st.SearchStrategy[bytes]]
JSON, LINES, WORDS, BYTES = mutate_json, mutate_json_lines, mutate_words, mutate_bytes
TRAINING: dict[str, Any] = {
    "recipe": {
        "strategy": {
            "name": "hybrid",
            "kinds": [["mono", 0.4], ["cross", 0.6]],
            "temperature": 0.0,
            "code_switch": {"probability": 0.1, "on": "both", "lexicon": "x", "sha256": "0"},
        },
        "pairs": {"sources": [["x", 3]], "languages": ["de"], "negatives": 0, "sha256": "0"},
    },
    "steps": 1500,
}


@dataclass(frozen=True)
class Specimen:
    """A sound file in a folder, how to change it, and what reads the folder."""

    file: str
    mutate: Mutate
    read: Callable[[Path], object]


def read_results(folder: Path) -> None:
    """Read results as `compare`, `reproduce` and the leaderboard do."""
    results = bh.Results.load(folder)
    render_html(results)
    list_notes(results)
    json.dumps(to_json(results))
    list_commands(results)
    list_mteb_scores(results)
    (entry,) = read_entries(folder)
    list_facts(entry)
    for measure in results.measures:
        for kind in results.kinds:
            results.values(measure, kind)
    bh.compare(results, bh.Results.load(folder.with_name("intact")), samples=10)


def read_stored_collection(folder: Path) -> None:
    for collection in folder.glob("*/collection.json"):
        read_all(open_collection(collection.parent))


def read_all(collection: bh.Collection) -> None:
    list(collection.view().to_beir())
    collection.resolve()


def read_index(folder: Path) -> None:
    bh.open_index(folder, LetterEncoder(), force=True).search(["a"], k=2)
    verify_index(folder)
    for collection, language in ((None, None), (_collections["tiny"], "de")):
        with suppress(OSError):  # a model of the hub, which tests do not reach
            search_index(folder, "a", language=language, collection=collection)


def read_impact_index(folder: Path) -> None:
    verify_index(folder)
    with suppress(OSError):
        search_index(folder, "w1 w2", k=2, collection=_collections["words"])
        search_index(folder, "w1 w2", language="de", k=2, collection=_collections["words"])


def read_training(folder: Path) -> None:
    _describe_training(folder / "training.json")
    is_finished(folder, TRAINING["recipe"])
    checkpoint = folder / "checkpoints" / "checkpoint-2"
    is_final_checkpoint(str(checkpoint))
    _verify_checkpoint(checkpoint)


def read_yaml_config(path: Path) -> None:
    commands: Any = typer.main.get_command(app)
    context: Any = SimpleNamespace(command=commands.commands["train"], default_map=None, meta={})
    read_config(context, path)


SPECIMENS = {
    "results": Specimen("results.json", JSON, read_results),
    "timing": Specimen("timing.json", JSON, read_results),
    "reproduction": Specimen("reproduction.json", JSON, read_results),
    "bytes of results": Specimen("per_query.parquet", BYTES, read_results),
    "mteb": Specimen("folder/Task.json", JSON, read_entries),
    "scores of mteb": Specimen(
        "folder/Task.json", JSON, lambda f: read_mteb(f / "folder/Task.json")
    ),
    "card of mteb": Specimen("folder/model_meta.json", JSON, read_entries),
    "run": Specimen("en-all.trec", WORDS, lambda folder: evaluate_run(folder / "en-all.trec")),
    "run of all": Specimen("all.trec", WORDS, lambda folder: evaluate_run(folder / "all.trec")),
    "bytes of a run": Specimen("all.trec", BYTES, lambda f: bh.read_run(f / "all.trec")),
    "gzipped run": Specimen("all.trec.gz", BYTES, lambda f: bh.read_run(f / "all.trec.gz")),
    "jsonl": Specimen("x.jsonl", LINES, lambda folder: read_all(bh.read_jsonl(folder / "x.jsonl"))),
    "corpus": Specimen("corpus.jsonl", LINES, lambda folder: read_all(bh.read_folder(folder))),
    "queries": Specimen("queries.jsonl", LINES, lambda folder: read_all(bh.read_folder(folder))),
    "qrels": Specimen("qrels/test.tsv", BYTES, lambda folder: read_all(bh.read_folder(folder))),
    "description": Specimen("collection.json", JSON, lambda f: read_all(bh.read_folder(f))),
    "captions": Specimen(
        "captions.jsonl", LINES, lambda folder: bh.load("jsonl-image-text", path=folder)
    ),
    "image": Specimen("x.png", BYTES, lambda folder: inspect_image(folder / "x.png")),
    "manifest of a collection": Specimen("*/collection.json", JSON, read_stored_collection),
    "passages": Specimen("*/passages-de.arrow", BYTES, read_stored_collection),
    "judgements": Specimen("*/judgements.arrow", BYTES, read_stored_collection),
    "manifest of an index": Specimen("manifest.json", JSON, read_index),
    "manifest of an impact index": Specimen("manifest.json", JSON, read_impact_index),
    "docid": Specimen("docid", BYTES, read_index),
    "groups": Specimen("x.jsonl", LINES, lambda folder: bh.read_pairs(folder / "x.jsonl")[0]),
    "parquet": Specimen("x.parquet", BYTES, lambda folder: bh.read_pairs(folder / "x.parquet")[0]),
    "bitext": Specimen("x.de", BYTES, lambda f: read_bitext({"de": f / "x.de", "en": f / "x.en"})),
    "lexicon": Specimen(
        "x.jsonl", LINES, lambda f: code_switch(0.5, f / "x.jsonl")("Haus", "de", 1)
    ),
    "vectors": Specimen("passages.npy", BYTES, lambda folder: read_vectors(folder, capitals())),
    "ids of vectors": Specimen(
        "queries.txt", WORDS, lambda folder: read_vectors(folder, capitals())
    ),
    "note of a shard": Specimen(
        "*.json", JSON, lambda f: [read_shard(note, LAYOUTS["dense"]) for note in f.rglob("*.json")]
    ),
    "training": Specimen("training.json", JSON, read_training),
    "state": Specimen("checkpoints/checkpoint-2/trainer_state.json", JSON, read_training),
    "checksums": Specimen("checkpoints/checkpoint-2/checksums.json", JSON, read_training),
    "configuration": Specimen("x.yaml", BYTES, lambda folder: read_yaml_config(folder / "x.yaml")),
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a cache to all tests of this file; it is emptied now and then."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("BEIR_HYBRID_CACHE", str(folder))
        patch.setenv("BEIR_HYBRID_OFFLINE", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield folder


@pytest.fixture(autouse=True)
def own_cache(cache: Path) -> Path:
    """Take the place of the fixture that gives each test a cache."""
    return cache


_collections: dict[str, bh.Collection] = {}


def capitals() -> bh.Collection:
    return _collections["capitals"]


def evaluate_run(path: Path) -> None:
    bh.evaluate_runs(path, capitals(), measures=["AP", "RankDistance", "nDCG@10", "RR@3"])


@pytest.fixture(scope="module")
def specimens(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a folder of sound files for each specimen."""
    root = tmp_path_factory.mktemp("specimens")
    (root / "data").mkdir()
    _collections["capitals"] = build_capitals(root / "data")
    results = evaluate_system("fair", capitals(), failures=[("de", 1)], runs=root / "runs")
    for name in ("results", "timing", "reproduction", "bytes of results", "intact"):
        results.save(root / name)
    checked_average = CheckedAverage("AP", "mono", 0.5, 0.5, "equal")
    write_reproduction(root / "reproduction", [checked_average])
    for name in ("mteb", "scores of mteb", "card of mteb"):
        write_mteb(root / name / "folder" / "Task.json", results)
        card = {"name": "a/b", "revision": "1", "n_parameters": 3}
        (root / name / "folder" / "model_meta.json").write_text(json.dumps(card))
    _write_runs(root)
    for name in ("corpus", "queries", "qrels", "description"):
        bh.write_folder(capitals(), root / name)
        if name != "description":  # which has the checksums of the other files
            (root / name / "collection.json").unlink()
            queries = root / name / "queries.jsonl"  # whose first line asks for the description
            records = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
            records[0]["metadata"].pop("description")
            queries.write_text("".join(f"{json.dumps(row)}\n" for row in records), "utf-8")
    rows = {
        "jsonl": (root / "data" / "capitals.jsonl").read_text("utf-8").splitlines()[:8],
        "groups": [
            '{"id": "1", "query": {"de": "Wo?", "en": "Where?"}, "positive": {"en": "Here."}}',
            '{"id": "2", "query": {"de": "Wer?"}, "positive": {"de": "Ich"}, "negative": {}}',
        ],
        "lexicon": ['{"de": "Haus", "en": ["house", "home"]}', '{"de": "Hof", "fr": "cour"}'],
    }
    for name, lines in rows.items():
        (root / name).mkdir()
        (root / name / "x.jsonl").write_text("\n".join(lines), "utf-8")
    write_images_folder(root / "captions", CATS)
    (root / "image").mkdir()
    (root / "image" / "x.png").write_bytes(make_image(7))
    for name in ("manifest of a collection", "passages", "judgements"):
        shutil.copytree(cache / "collections", root / name)
    _write_arrays(root)
    _write_training_files(root)
    return root


def _write_runs(root: Path) -> None:
    for name in ("run", "run of all", "bytes of a run", "gzipped run"):
        file = SPECIMENS[name].file
        run = bh.read_run(root / "runs" / "en-all.trec")
        if file != "en-all.trec":
            run |= bh.read_run(root / "runs" / "de-all.trec")
        short_run = {query: run[query] for query in [*list(run)[:4], *list(run)[-2:]]}
        name_checksum_file(bh.write_run(root / name / file, short_run)).unlink()


def _write_arrays(root: Path) -> None:
    letters = {"de:1": "a b", "de:2": "c", "en:1": "a d"}
    corpus = {key: {"text": text} for key, text in letters.items()}
    tiny = bh.from_beir(corpus, {"de:q:1": "a"}, {"de:q:1": {"de:1": 1}}, name="tiny")
    for name in ("manifest of an index", "docid"):
        build_index(LetterEncoder(), tiny, root / name)
    _collections.update(tiny=tiny, words=make_word_collection())
    make_sparse(root / "parts").save_pretrained(str(root / "splade"))
    build_index(str(root / "splade"), _collections["words"], root / "manifest of an impact index")
    encode(LetterEncoder(), tiny.passages["text"], "passages", folder=root / "note of a shard")
    for name in ("vectors", "ids of vectors"):
        (root / name).mkdir()
        for role, table in (("queries", capitals().queries), ("passages", capitals().passages)):
            np.save(root / name / f"{role}.npy", np.ones((len(table), 3), np.float32))
            (root / name / f"{role}.txt").write_text("\n".join(table["id"].to_pylist()))
    groups = [json.loads(line) for line in (root / "groups" / "x.jsonl").read_text().splitlines()]
    (root / "parquet").mkdir()
    pq.write_table(pa.Table.from_pylist(groups), root / "parquet" / "x.parquet")
    (root / "bitext").mkdir()
    (root / "bitext" / "x.de").write_text("Hallo\nDanke\nJa\n")
    (root / "bitext" / "x.en").write_text("Hello\nThanks\nYes\n")


def _write_training_files(root: Path) -> None:
    for name in ("training", "state", "checksums"):
        folder = root / name / "checkpoints" / "checkpoint-2"
        folder.mkdir(parents=True)
        write_record(root / name, TRAINING)
        state = {"stateful_callbacks": {"TrainerControl": {"args": {"should_training_stop": True}}}}
        (folder / "trainer_state.json").write_text(json.dumps(state))
        files = record_files(folder, ["trainer_state.json"])
        write_sealed_json(folder / CHECKSUMS, {"files": files})
    (root / "configuration").mkdir()
    (root / "configuration" / "x.yaml").write_text(
        "train: [mlqa-r]\nlanguages: [de, en]\nlora: {r: 16}\nmax_steps: 3\ndate: 2026-01-02\n"
        "learning_rate: 1e-5\nbase: &base {a: 1}\nother: *base\ntemperature: 0.05\n"
    )


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_changed_file(name: str, specimens: Path, cache: Path, tmp_path: Path) -> None:
    specimen, folder = SPECIMENS[name], tmp_path / "specimen"
    shutil.copytree(specimens / name, folder)
    shutil.copytree(specimens / "intact", tmp_path / "intact")
    path = next(folder.glob(specimen.file), None) or next(folder.rglob(specimen.file))
    intact, intact_folders = path.read_bytes(), {*(cache / "collections").iterdir()}
    with suppress_unreachable():
        specimen.read(folder)  # the specimen is sound

    @LIMITS
    @given(data=specimen.mutate(intact), is_sealed=st.booleans())
    def read_changed(data: bytes, is_sealed: bool) -> None:
        path.write_bytes(seal(data) if is_sealed and path.suffix == ".json" else data)
        with suppress(BeirHybridError):
            specimen.read(folder)
        if len(folders := {*(cache / "collections").iterdir()}) > 200:
            empty(cache, folders - intact_folders)

    read_changed()


@contextmanager
def suppress_unreachable() -> Iterator[None]:
    """Ignore that an index names a model, which is an object of these tests."""
    try:
        yield
    except BeirHybridError as error:
        if "given as an object" not in str(error):
            raise


def seal(data: bytes) -> bytes:
    """Return JSON with a checksum that is right, where it had one."""
    try:
        record = json.loads(data)
        if isinstance(record, dict) and record.pop(CHECKSUM, None) is not None:
            return format_sealed_json(record).encode()
    except (ValueError, RecursionError):
        pass
    return data


def empty(cache: Path, paths: Iterable[Path]) -> None:
    """Remove the collections that a test has built."""
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(cache / "pairs", ignore_errors=True)


@st.composite
def mutate_table(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    """Draw a table with other columns, types, nulls or rows."""
    for _ in range(draw(st.integers(1, 2))):
        names = table.column_names
        number = draw(st.integers(0, len(names) - 1))
        column = table.column(number)
        match draw(st.integers(0, 6)):
            case 0:
                table = table.remove_column(number)
            case 1:
                table = table.append_column(draw(st.sampled_from([*names, *TEXTS[:9]])), column)
            case 2:
                table = table.slice(0, draw(st.integers(0, 2)))
            case 3:
                column = pa.array([draw(st.sampled_from([None, 1.5, float("inf")]))] * len(table))
                table = table.set_column(number, names[number], column)
            case 4:
                column = pa.array([draw(st.sampled_from(TEXTS))] * len(table)).dictionary_encode()
                table = table.set_column(number, names[number], column)
            case 5:
                column = pa.chunked_array([column.combine_chunks().cast(pa.string())])
                table = table.set_column(number, names[number], column)
            case _:
                table = table.rename_columns(
                    [
                        draw(st.sampled_from(TEXTS)) if i == number else n
                        for i, n in enumerate(names)
                    ]
                )
        names = table.column_names
        if not names:
            break
    return table


def test_a_changed_table_of_results(specimens: Path, tmp_path: Path) -> None:
    shutil.copytree(specimens / "intact", tmp_path / "intact")
    folder = shutil.copytree(specimens / "intact", tmp_path / "specimen")
    record, table = read_record(folder), bh.Results.load(folder).table

    @LIMITS
    @given(table=mutate_table(table))
    def read_changed(table: pa.Table) -> None:
        write_results(folder, record, {}, table, lambda: None)
        with suppress(BeirHybridError):
            read_results(folder)

    read_changed()


PARSERS: dict[str, Callable[[str], object]] = {
    "language": normalise,
    "measures": parse_measures,
    "strategy": bh.parse_strategy,
    "lora": lambda text: _parse_yaml_values([f"r={text}"]),
    "dataset": lambda text: bh.load("jsonl", path=text),
    "option": lambda text: bh.load("xquad-r", languages=text.split(","), revision=text),
    "run": bh.read_run,
    "results": bh.Results.load,
    "pairs": lambda text: bh.read_pairs(f"{text}.jsonl"),
    "index": lambda text: bh.open_index(text, LetterEncoder()),
}
PIECES = st.sampled_from([*TEXTS, *map(str, NUMBERS[:9]), *"()[]{}=,:@*&!|>-#"])


@pytest.mark.parametrize("name", PARSERS)
def test_odd_texts(name: str) -> None:
    @LIMITS
    @given(text=st.lists(PIECES | st.text(max_size=5), max_size=5).map("".join))
    def parse(text: str) -> None:
        with suppress(BeirHybridError):
            PARSERS[name](text)

    parse()
