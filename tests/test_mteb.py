"""mteb's models become encoders of ours, and its result files rows; and rows such files."""

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
import torch
from mteb.models import ModelMeta, SentenceTransformerEncoderWrapper
from mteb.models.cache_wrappers import CachedEmbeddingWrapper
from mteb.models.model_implementations import MODEL_REGISTRY
from mteb.results import TaskResult
from sentence_transformers import SentenceTransformer

import beir_hybrid as bh
from beir_hybrid.encoding import (
    Encoder,
    EncodingStats,
    SentenceTransformerEncoder,
    as_encoder,
    encode,
)
from beir_hybrid.encoding.mteb_models import MtebEncoder
from beir_hybrid.errors import BadData, BadOption, MissingExtra
from beir_hybrid.results.mteb import Score, read_mteb, write_mteb
from tests.models import static_model, transformer_model
from tests.small_collections import write_parallel_words
from tests.test_cli_evaluate import RunCli, run_cli

__all__ = ["run_cli"]

TEXTS = ["w3", "w1 w2 w5 w5", "", "w4 w9 unknown", "w7 w8"]


def wrap_model(model: SentenceTransformer, **options: Any) -> SentenceTransformerEncoderWrapper:
    with warnings.catch_warnings():
        # mteb calls functions of its own and of sentence-transformers that are deprecated.
        warnings.simplefilter("ignore")
        return SentenceTransformerEncoderWrapper(model, **options)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("prompts", [{}, {"query": "w1 ", "document": "w2 w3 "}])
def test_vectors_are_those_of_our_own_adapter(similarity: str, prompts: dict[str, str]) -> None:
    options: dict[str, Any] = {"similarity_fn_name": similarity, "prompts": prompts}
    ours = SentenceTransformerEncoder(static_model(**options))
    theirs = as_encoder(wrap_model(static_model(**options)))
    assert isinstance(theirs, MtebEncoder)
    assert isinstance(theirs, Encoder)
    assert theirs.encode_queries(TEXTS).tolist() == ours.encode_queries(TEXTS).tolist()
    assert theirs.encode_passages(TEXTS).tolist() == ours.encode_passages(TEXTS).tolist()
    lengths = np.linalg.norm(theirs.encode_passages(TEXTS[:2]), axis=1)
    assert bool((np.abs(lengths - 1) < 1e-6).all()) == (similarity == "cosine")


def test_scores_are_those_of_mtebs_own_similarity() -> None:
    model = wrap_model(static_model(similarity_fn_name="cosine"))
    raw = MtebEncoder(model, normalize=False)
    unit = MtebEncoder(model)
    theirs = model.similarity(raw.encode_queries(TEXTS), raw.encode_passages(TEXTS))
    ours = unit.encode_queries(TEXTS) @ unit.encode_passages(TEXTS).T
    assert ours == pytest.approx(np.asarray(theirs), abs=1e-6)
    assert raw.fingerprint != unit.fingerprint


def test_prompts_are_those_for_the_task_that_is_named() -> None:
    prompts = {"query": "w1 ", "document": "", "Retrieval-query": "w2 ", "SciFact-query": "w3 "}
    model = wrap_model(static_model(), model_prompts=prompts)
    plain = SentenceTransformerEncoder(static_model(), query_prompt="")
    without_task = MtebEncoder(model)
    with_task = MtebEncoder(model, task_metadata=mteb.get_task("SciFact").metadata)
    expected = {without_task: ["w2 w7 w8"], with_task: ["w3 w7 w8"]}
    for encoder, texts in expected.items():
        assert encoder.encode_queries(["w7 w8"]).tolist() == plain.encode_queries(texts).tolist()
    assert without_task.fingerprint != with_task.fingerprint


def test_the_store_tells_models_apart_by_their_weights(tmp_path: Path) -> None:
    # mteb gives both models the same name and the same revision: that there is none.
    first, second = (
        MtebEncoder(wrap_model(static_model(1))),
        MtebEncoder(wrap_model(static_model(2))),
    )
    assert first.fingerprint["name"] == second.fingerprint["name"]
    counts = EncodingStats(), EncodingStats()
    rows = [
        encode(encoder, TEXTS, "queries", folder=tmp_path, stats=count).take(slice(0, 1))
        for encoder, count in zip((first, second), counts, strict=True)
    ]
    assert [count.texts for count in counts] == [5, 5]
    assert rows[0].tolist() != rows[1].tolist()
    again = EncodingStats()
    encode(MtebEncoder(wrap_model(static_model(1))), TEXTS, "queries", folder=tmp_path, stats=again)
    assert again.texts == 0


# What mteb's cache says of a folder that is new.
@pytest.mark.filterwarnings("ignore:Dimension file not found:UserWarning")
@pytest.mark.filterwarnings("ignore:No existing files found:UserWarning")
def test_a_model_in_mtebs_cache_wrapper_gives_the_same_vectors(tmp_path: Path) -> None:
    model = wrap_model(static_model())
    plain, wrapped = MtebEncoder(model), MtebEncoder(CachedEmbeddingWrapper(model, tmp_path))
    for _ in range(2):
        for encoder in (wrapped.encode_queries, wrapped.encode_passages):
            rows = encoder(TEXTS)
            assert rows == pytest.approx(plain.encode_passages(TEXTS), abs=1e-6)
    assert wrapped.fingerprint["model"] == plain.fingerprint["model"]


@pytest.fixture
def add_to_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give what saves a model in a folder that its name leads to, and puts it into the registry."""
    monkeypatch.chdir(tmp_path)

    def add(name: str, model: SentenceTransformer | None = None, **meta: Any) -> None:
        (model or static_model()).save(str(tmp_path / name))
        entries = {"loader": SentenceTransformerEncoderWrapper, "revision": "1", **meta}
        entry = ModelMeta.create_empty({"name": name, **entries})
        monkeypatch.setitem(MODEL_REGISTRY, name, entry)

    return add


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_model_by_its_name_in_the_registry(
    add_to_registry: Callable[..., None], tmp_path: Path, run_cli: RunCli
) -> None:
    model = static_model(prompts={"query": "w1 "})
    add_to_registry("me/words", model)
    encoder = as_encoder("mteb:me/words", batch_size=2)
    expected = as_encoder(wrap_model(model))
    assert encoder.encode_queries(TEXTS).tolist() == expected.encode_queries(TEXTS).tolist()
    assert (encoder.name, encoder.revision) == ("mteb:me/words", "1")
    assert encoder.load_request == ("mteb:me/words", {"batch_size": 2})
    words = write_parallel_words(tmp_path / "words.jsonl", ["de", "en"])
    line = ["evaluate", "mteb:me/words", "--dataset", words, "--measures", "AP"]
    outcome = run_cli(*line, "--output", tmp_path / "out", "--revision", "1")
    assert (outcome.code, outcome.err) == (0, "")
    collection = bh.load("jsonl", path=str(words))
    results = bh.evaluate(wrap_model(model), collection, measures="AP", store=tmp_path / "store")
    assert bh.Results.load(tmp_path / "out").per_query().equals(results.per_query())
    assert "mteb:me/words --revision 1" in run_cli("reproduce", tmp_path / "out").out


def test_names_and_options_that_mteb_does_not_take(add_to_registry: Callable[..., None]) -> None:
    add_to_registry("me/words")
    for name, options, message in (
        ("me/wrods", {}, "mteb:me/wrods: Model 'me/wrods' not found in MTEB registry.*'me/words'"),
        ("me/words", {"revision": "2"}, "mteb:me/words: Model revision 2 not found"),
        ("me/words", {"query_prompt": "a"}, "query_prompt does not apply to mteb:me/words: mteb s"),
        ("me/words", {"max_length": 5}, "max_length does not apply to mteb:me/words"),
    ):
        with pytest.raises(BadOption, match=message):
            as_encoder(f"mteb:{name}", **options)


def load_anything(*_: object, **__: object) -> None:
    pytest.fail("a loader ran without consent")


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"loader": load_anything}, "mteb may run code that comes with mteb:me/w, by its load_any"),
        ({"loader_kwargs": {"trust_remote_code": True}}, "if you trust that code, say so with --t"),
        ({"model_type": ["late-interaction"]}, "is late-interaction, .* name it 'me/w', without m"),
    ],
)
def test_code_and_other_families_need_consent(
    add_to_registry: Callable[..., None], meta: dict[str, Any], message: str
) -> None:
    add_to_registry("me/w", **meta)
    with pytest.raises(BadOption, match=message):
        as_encoder("mteb:me/w")


class LengthEncoder:
    """A model of nobody's make: a text's length and number of words, batch by batch."""

    def __init__(self, **meta: Any) -> None:
        self.mteb_model_meta = ModelMeta.create_empty(meta)
        self.batches: list[list[str]] = []

    def encode(self, inputs: Any, *, prompt_type: Any, **_: Any) -> torch.Tensor:
        read = [batch["text"] for batch in inputs]
        self.batches += read
        sign = 1 if prompt_type.value == "query" else -1
        rows = [[sign * len(text), len(text.split())] for batch in read for text in batch]
        return torch.tensor(rows, dtype=torch.bfloat16)


def test_any_class_with_mtebs_encode_is_an_encoder() -> None:
    model = LengthEncoder(name="me/lengths", revision="2", similarity_fn_name="dot")
    encoder = MtebEncoder(model, batch_size=2)
    assert encoder.encode_queries(["ab", "a b c", "", "a b"]).tolist() == [
        [2, 1],
        [5, 3],
        [0, 0],
        [3, 2],
    ]
    assert model.batches == [["a b c", "a b"], ["ab", ""]]
    rows = encoder.encode_passages(["ab"])
    assert rows.dtype == np.float32
    assert rows.tolist() == [[-2, 1]]
    fingerprint = encoder.fingerprint
    assert (fingerprint["name"], fingerprint["revision"]) == ("me/lengths", "2")
    assert json.loads(json.dumps(fingerprint)) == fingerprint
    other = MtebEncoder(LengthEncoder(name="me/lengths", revision="3", similarity_fn_name="dot"))
    assert other.fingerprint != fingerprint


def test_truncated_texts_of_sentence_transformers_models_are_counted(tmp_path: Path) -> None:
    # A text has a token a word, one before it and one after it; the model reads 16.
    texts = ["w1 " * n for n in (1, 12, 13, 14, 15, 40)]
    model = transformer_model(tmp_path)
    plain = MtebEncoder(wrap_model(model))
    assert (
        plain.find_truncated(texts, "queries") == plain.find_truncated(texts, "passages") == [4, 5]
    )
    prompts = {"query": "w2 ", "document": "", "SciFact-query": "w2 w3 "}
    prompted = MtebEncoder(wrap_model(transformer_model(tmp_path / "b"), model_prompts=prompts))
    assert prompted.find_truncated(texts, "queries") == [3, 4, 5]
    assert prompted.find_truncated(texts, "passages") == [4, 5]
    model.prompts = {"query": "w2 ", "document": "", "passage": "w3 w4 "}
    with_task = MtebEncoder(wrap_model(model), task_metadata=mteb.get_task("SciFact").metadata)
    assert with_task.find_truncated(texts, "queries") == [3, 4, 5]
    assert plain.name == "SentenceTransformer"
    assert (
        MtebEncoder(LengthEncoder(name="me/a", revision="1")).find_truncated(texts, "queries")
        is None
    )
    assert MtebEncoder(LengthEncoder(name="me/a", revision="1")).name == "me/a"
    assert MtebEncoder(LengthEncoder(revision="1")).name == "LengthEncoder"


def test_a_model_without_name_weights_or_usable_similarity_is_refused() -> None:
    for meta in ({"name": "me/lengths"}, {"revision": "1"}):
        with pytest.raises(BadOption, match="LengthEncoder has no name or no revision"):
            _ = MtebEncoder(LengthEncoder(**meta)).fingerprint
    meta = {"name": "me/colbert", "revision": "1", "similarity_fn_name": "MaxSim"}
    with pytest.raises(BadOption, match="me/colbert scores by MaxSim"):
        MtebEncoder(LengthEncoder(**meta))


def test_a_missing_mteb_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtra, match="LengthEncoder is a model of mteb's: pip install 'mteb"):
        MtebEncoder(LengthEncoder(name="a", revision="b"))


STORED: dict[str, Any] = {
    "dataset_revision": "397ed4",
    "task_name": "MLQARetrieval",
    "mteb_version": "2.1.17",
    "scores": {
        "test": [
            {
                "ndcg_at_10": 0.5,
                "map_at_1000": 0.25,
                "hit_rate_at_1": 0,
                "nauc_ndcg_at_10_max": float("nan"),
                "nauc_ndcg_at_10_std": -0.125,
                "main_score": 0.5,
                "hf_subset": "ara-deu",
                "languages": ["ara-Arab", "deu-Latn"],
                "mteb_version": "2.1.17",
            },
        ],
        "dev": [
            {"mrr_at_10": 1.0, "main_score": 1.0, "hf_subset": "zh", "languages": ["zho-Hans"]},
            {"recall_at_5": 0.75, "main_score": 1, "hf_subset": "x", "languages": ["ara-Arab"] * 2},
            {
                "precision_at_5": 0.125,
                "main_score": 0.125,
                "hf_subset": "default",
                "languages": ["eng-Latn", "fra-Latn", "spa-Latn"],
                "scores_per_experiment": [{"accuracy": 1.0}],
            },
        ],
    },
    "evaluation_time": 1.5,
}


def write_record(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    path = folder / "MLQARetrieval.json"
    path.write_text(json.dumps(STORED | (changes or {})))
    return path


def test_a_file_becomes_plain_rows(tmp_path: Path) -> None:
    of = ("MLQARetrieval", "397ed4")
    pair = (*of, "test", "ara-deu", ("ar", "de"), "de", "ar")
    many = (*of, "dev", "default", ("en", "fr", "es"), "all", "all")
    assert read_mteb(write_record(tmp_path)) == [
        Score(*pair, "nDCG@10", 0.5),
        Score(*pair, "AP@1000", 0.25),
        Score(*pair, "Success@1", 0.0),
        Score(*pair, "nauc_ndcg_at_10_std", -0.125),
        Score(*of, "dev", "zh", ("zh",), "zh", "zh", "RR@10", 1.0),
        Score(*of, "dev", "x", ("ar",), "ar", "ar", "R@5", 0.75),
        Score(*many, "P@5", 0.125),
    ]


def generate_scores() -> Iterator[Score]:
    """Yield rows as an evaluation has them: pairs, and a pool in every language."""
    place = ("XQuADR", "9bc8c7")
    for number, code in enumerate(["en", "zh", "sw", "el", "ar"]):
        pool = (*place, "test", f"all-{code}", ("en", "zh", "sw", "el", "ar"), code, "all")
        pair = (*place, "test", f"en-{code}", ("en", code)[: 1 + (code != "en")], code, "en")
        for setting in (pair, pool):
            yield Score(*setting, "nDCG@10", 0.1 + number / 7)
            yield Score(*setting, "AP", 1 / 3)
            yield Score(*setting, "R@100", 1.0)
            yield Score(*setting, "RankDistance(normalized=True)", 0.25)
    yield Score(*place, "dev", "th", ("th",), "th", "th", "nDCG@10", 0.0)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    path = write_mteb(
        tmp_path / "results" / "XQuADR.json", generate_scores(), mteb_version="2.26.24"
    )
    assert read_mteb(path) == list(generate_scores())
    assert [file.name for file in path.parent.iterdir()] == ["XQuADR.json"]
    written = json.loads(path.read_text())
    assert written["scores"]["test"][2] == {
        "hf_subset": "en-zh",
        "languages": ["eng-Latn", "zho-Hans"],
        "ndcg_at_10": 0.1 + 1 / 7,
        "AP": 1 / 3,
        "recall_at_100": 1.0,
        "RankDistance(normalized=True)": 0.25,
        "main_score": 0.1 + 1 / 7,
    }
    assert written["scores"]["dev"][0]["languages"] == ["tha-Thai"]


def test_mteb_reads_what_we_write(tmp_path: Path) -> None:
    path = write_mteb(tmp_path / "XQuADR.json", generate_scores(), main="nDCG@10")
    result = TaskResult.from_disk(path, load_historic_data=False)
    assert (result.task_name, result.dataset_revision) == ("XQuADR", "9bc8c7")
    assert result.get_score(["dev"]) == 0.0
    # German is in no subset, Greek in its pair and in all five pools.
    expected = np.mean([0.1 + 3 / 7] + [0.1 + n / 7 for n in range(5)])
    assert result.get_score(["test"], languages=["ell"]) == pytest.approx(expected)


def test_results_become_a_file_that_mteb_reads(tmp_path: Path) -> None:
    corpus = {"de:1": {"text": "w1"}, "de:2": {"text": "w2"}, "en:1": {"text": "w1"}}
    queries = {"de:q:1": "w1", "en:q:1": "w1"}
    qrels = {"de:q:1": {"de:2": 1, "en:1": 1}, "en:q:1": {"en:1": 1}}
    collection = bh.from_beir(corpus, queries, qrels, name="small")
    results = bh.evaluate(static_model(), collection, measures=["nDCG@10", "RR"])
    result = TaskResult.from_disk(bh.write_mteb(tmp_path / "small.json", results))
    subsets = {row["hf_subset"]: (row["ndcg_at_10"], row["RR"]) for row in result.scores["test"]}
    # German on German: de:2 is second. On English passages there is but one. In the pool the two
    # passages "w1" tie: en:1 before de:1, and de:2 is last; for English en:1 is first.
    second = 1 / math.log2(3)
    pool = (1 + 1 / 2) / (1 + second)
    assert subsets == {
        "de-de": pytest.approx((second, 1 / 2)),
        "en-en": pytest.approx((1, 1)),
        "en-de": pytest.approx((1, 1)),
        "all-de": pytest.approx((pool, 1)),
        "all-en": pytest.approx((1, 1)),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_name": None}, "task_name is None; it must be text"),
        ({"scores": [1]}, r"scores is \[1\]; it must be a mapping"),
        ({"scores": {"test": {"en": {"main_score": 1.0}}}}, "scores.test is .* must be a list"),
        ({"scores": {"test": [{"hf_subset": "en", "languages": ["eng-Latn"]}]}}, "main_score"),
        (
            {"scores": {"test": [STORED["scores"]["dev"][0] | {"ndcg_at_1": "0.5"}]}},
            "ndcg_at_1 of zh is '0.5'; it must be a number",
        ),
        (
            {"scores": {"test": [STORED["scores"]["dev"][0] | {"languages": ["python-Code"]}]}},
            "unknown language code 'python-Code'",
        ),
    ],
)
def test_another_schema_is_refused_with_the_path(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadData, match=rf"MLQARetrieval\.json.*{message}"):
        read_mteb(write_record(tmp_path, changes))


@pytest.mark.parametrize("content", [b"", b'{"task_name": "x"', b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_refused_with_the_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(BadData, match=r"r\.json is not JSON"):
        read_mteb(tmp_path / "r.json")
    with pytest.raises(BadData, match=r"there is no file .*absent\.json"):
        read_mteb(tmp_path / "absent.json")


def test_rows_that_no_file_can_hold_are_refused(tmp_path: Path) -> None:
    one = next(generate_scores())
    wrong = {
        "a file is for one task": [one, one._replace(revision="other")],
        "test en-en has nDCG@10 twice": [one, one],
        "test en-en lacks nDCG@10": [one._replace(measure="AP")],
        "nDCG@10 is nan": [one._replace(value=float("nan"))],
        "there are no scores": [],
    }
    for message, some in wrong.items():
        with pytest.raises(BadData, match=message):
            write_mteb(tmp_path / "r.json", some)
    assert list(tmp_path.iterdir()) == []


def test_real_files_read_as_they_stand_and_come_back(mirror: Path, tmp_path: Path) -> None:
    folder = mirror.parent / "mteb-results"
    if not folder.is_dir():
        pytest.skip(f"needs mteb's result files in {folder}")
    paths = sorted(folder.rglob("*.json"))
    assert paths
    for path in paths:
        read = read_mteb(path)
        rows = [row for row in read if row.measure == "nDCG@10"]
        result = TaskResult.from_disk(path)
        assert len(rows) == sum(len(subsets) for subsets in result.scores.values())
        for row in rows:
            theirs = [score["main_score"] for score in result.scores[row.split] if
                      score["hf_subset"] == row.subset]  # fmt: skip
            assert [row.value] == theirs
            if row.task == "MLQARetrieval":
                codes = {"ara": "ar", "deu": "de", "eng": "en", "spa": "es", "hin": "hi"}
                codes |= {"vie": "vi", "zho": "zh"}
                sides = [codes[part] for part in row.subset.split("-")]
                assert [row.passage_lang, row.query_lang] == sides
            else:
                assert row.passage_lang == row.query_lang == row.subset
        assert read_mteb(write_mteb(tmp_path / path.name, read)) == read
