"""Retrieval tasks of mteb become collections, with the values that mteb has for them."""
# mypy: disable-error-code="misc, no-untyped-call"

import json
import math
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
from mteb import ResultCache
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.get_tasks import _TASKS_REGISTRY

import beir_hybrid as bh
import beir_hybrid.mteb
from beir_hybrid.cli.options import LoadOptions
from beir_hybrid.cli.training_data import DataOptions
from beir_hybrid.errors import BadData, BadOption, UnknownName, Unreachable
from beir_hybrid.sources import find_dataset, mteb_tasks

PASSAGES = {
    "deu": {"D0": "aab", "D1": "bbc", "D2": "ccd", "D3": "dda"},
    "eng": {"D0": "aac", "D1": "bbd", "D2": "cca", "D 3": "ddb"},
}
QUERIES = {"deu": {"1": "ab", "2": "bc"}, "eng": {"1": "ac", "2": "bd", "3": "cb"}}
RELEVANT = {
    "deu": {"1": {"D0": 1, "D3": 0}, "2": {"D1": 1, "D2": 2}},
    "eng": {"1": {"D2": 1}, "2": {"D 3": 1}, "3": {"D1": 1, "D2": 1}},
}


class LettersRetrieval(AbsTaskRetrieval):
    """A task with two monolingual subsets and one whose passages are German."""

    metadata = mteb.get_task("XQuADRetrieval").metadata.model_copy(
        update={
            "name": "LettersRetrieval",
            "eval_langs": {
                "de": ["deu-Latn"], "en": ["eng-Latn"], "de-en": ["deu-Latn", "eng-Latn"]
            },
            "eval_splits": ["test"],
            "dataset": {"path": "letters", "revision": "7"},
        }
    )  # fmt: skip

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:  # noqa: ARG002
        """Fill in the rows as older tasks of mteb do."""
        sides = {"de": ("deu", "deu"), "en": ("eng", "eng"), "de-en": ("deu", "eng")}
        relevant = {"de": RELEVANT["deu"], "en": RELEVANT["eng"], "de-en": {"1": {"D0": 1}}}
        subsets = {subset: sides[subset] for subset in self.hf_subsets}
        self.corpus = {
            name: {"test": {key: {"text": text} for key, text in PASSAGES[side[0]].items()}}
            for name, side in subsets.items()
        }
        self.queries = {
            name: {"test": {key: QUERIES[side[1]][key] for key in relevant[name]}}
            for name, side in subsets.items()
        }
        self.relevant_docs = {name: {"test": relevant[name]} for name in subsets}
        self.data_loaded = True


class LetterCounts:
    """An encoder whose vectors count letters."""

    fingerprint = {"kind": "letter counts"}  # noqa: RUF012

    def encode_queries(self, texts: list[str]) -> np.ndarray:
        counts = [[text.count(letter) for letter in "abcd"] for text in texts]
        vectors = np.array(counts, np.float32)
        normalised: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normalised

    encode_passages = encode_queries


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch, own_cache: Any) -> None:
    assert own_cache
    monkeypatch.setitem(_TASKS_REGISTRY, "LettersRetrieval", LettersRetrieval)
    monkeypatch.setitem(mteb_tasks.HAS_QUERIES_FIRST, "LettersRetrieval", False)


def test_subsets_make_settings_and_share_rows() -> None:
    collection = bh.load("mteb:LettersRetrieval")
    assert collection.languages == ("de", "en")
    assert collection.query_counts == {"de": 2, "en": 3}
    assert collection.passage_counts == {"de": 4, "en": 4}
    assert [setting.name for setting in collection.list_settings()] == [
        "de-de", "en-en", "en-de", "de-all", "en-all"
    ]  # fmt: skip
    assert collection.view("en", "de").to_beir()[2] == {"en:q:1": {"de:D0": 1}}
    assert "en:D%203" in collection.passages["id"].to_pylist()
    assert collection.provenance[0].revision == "7"
    assert collection.options["mteb"] == mteb.__version__
    german = bh.load("mteb:LettersRetrieval", ["deu"])
    assert (german.languages, len(german.queries)) == (("de",), 2)


def test_tasks_are_training_data() -> None:
    """By name as other datasets, with languages and options of their own."""
    for name, n_groups in (
        ("mteb:LettersRetrieval", 7),  # 3 German, and 4 English, one with a German passage
        ("mteb:LettersRetrieval:languages=de", 3),
        ("mteb:LettersRetrieval:languages=en+de,parallel=true", 5),
    ):
        [pairs] = DataOptions(train=[name]).read(LoadOptions())
        assert len(pairs) == n_groups
    with pytest.raises(UnknownName, match="no task of mteb 'LetterRetrieval'; did you mean 'Let"):
        DataOptions(train=["mteb:LetterRetrieval"]).read(LoadOptions())


def test_parallel_queries_share_relevant_passages() -> None:
    collection = bh.load("mteb:LettersRetrieval", parallel=True)
    assert collection.view().to_beir()[2] == {
        "de:q:1": {"de:D0": 1, "de:D3": 0, "en:D2": 1},
        "de:q:2": {"de:D1": 1, "de:D2": 2, "en:D%203": 1},
        "en:q:1": {"de:D0": 1, "de:D3": 0, "en:D2": 1},
        "en:q:2": {"de:D1": 1, "de:D2": 2, "en:D%203": 1},
        "en:q:3": {"en:D1": 1, "en:D2": 1},
    }
    assert set(collection.queries["group"].to_pylist()) == {"1", "2", "3"}


def test_queries_that_are_numbered_anew_in_each_subset_stay_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MLQARetrieval numbers them so."""
    load = LettersRetrieval.load_data

    def number(task: Any, **options: Any) -> None:
        load(task, **options)
        task.queries["de-en"]["test"] = {"1": "dd"}  # in the subset en, 1 is another question

    monkeypatch.setattr(LettersRetrieval, "load_data", number)
    collection = bh.load("mteb:LettersRetrieval")
    judgements = collection.view("en").to_beir()[2]
    assert judgements["en:q:1"] == {"en:D2": 1}
    assert judgements["en:q:de-en.1"] == {"de:D0": 1}


class LetterModel:
    """`LetterCounts` as a model of mteb."""

    mteb_model_meta = mteb.models.ModelMeta.create_empty({"name": "tests/letters", "revision": "1"})

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        return LetterCounts().encode_queries([t for batch in inputs for t in batch["text"]])

    def similarity(self, first: Any, second: Any) -> Any:
        import torch

        return torch.as_tensor(np.asarray(first) @ np.asarray(second).T)

    similarity_pairwise = similarity


def evaluate_by_mteb(tasks: Any) -> dict[str, float]:
    """Return nDCG@10 by subset."""
    results = mteb.evaluate(LetterModel(), tasks, cache=None, overwrite_strategy="always")
    rows = [row for task in results.task_results for row in task.scores["test"]]
    return {row["hf_subset"]: row["ndcg_at_10"] for row in rows}


def test_values_are_those_of_mtebs_own_evaluation() -> None:
    expected = evaluate_by_mteb(LettersRetrieval())
    means = bh.evaluate(LetterCounts(), bh.load("mteb:LettersRetrieval"), measures="nDCG@10").means(
        "nDCG@10"
    )
    values = {setting.name: value for setting, value in means.items()}
    names = {"de": "de-de", "en": "en-en", "de-en": "en-de"}  # mteb names passages first
    assert {subset: values[names[subset]] for subset in expected} == pytest.approx(
        expected, abs=1e-5
    )


def test_collections_are_tasks_with_equal_values() -> None:
    collection = bh.load("mteb:LettersRetrieval", parallel=True)
    tasks = beir_hybrid.mteb.tasks(collection)
    kinds = [task.metadata.name.split("-")[-2] for task in tasks]
    assert kinds == ["mono", "cross", "multi"]
    languages: Any = tasks[1].metadata.eval_langs
    assert languages["en-de"] == ["eng-Latn", "deu-Latn"]
    values = {
        f"{setting.passages}-{setting.queries}": value
        for setting, value in bh.evaluate(LetterCounts(), collection, measures="nDCG@10")
        .means("nDCG@10")
        .items()
    }
    assert evaluate_by_mteb(tasks) == pytest.approx(values, abs=1e-5)
    assert values.keys() == {"de-de", "en-en", "en-de", "de-en", "all-de", "all-en"}
    assert len({round(value, 3) for value in values.values()}) > 3  # they tell settings apart


def test_mteb_does_not_take_the_values_of_other_texts_from_its_cache(tmp_path: Path) -> None:
    """Both pools have the same name, and as many languages, queries and passages."""
    cache, values = ResultCache(tmp_path), []
    for distractor in ("d", "a"):
        corpus = {
            f"{lang}:{number}": {"text": text}
            for lang in ("de", "en")
            for number, text in enumerate(["ab", distractor])
        }
        qrels = {f"{lang}:q:1": {f"{lang}:0": 1} for lang in ("de", "en")}
        collection = bh.from_beir(corpus, dict.fromkeys(qrels, "a"), qrels)
        [task] = beir_hybrid.mteb.tasks(collection, settings="mono")
        results = mteb.evaluate(LetterModel(), [task], cache=cache)
        values += [row["ndcg_at_10"] for row in results.task_results[0].scores["test"]]
    first, last = 1.0, 1 / math.log2(3)  # "a" is nearer to "a" than "ab" is
    assert values == pytest.approx([first, first, last, last], abs=1e-5)


def test_tasks_of_some_settings_with_titles_and_without_a_pool() -> None:
    corpus = {"de:1": {"title": "aab", "text": "c"}, "de:2": {"title": "d", "text": "c"}}
    collection = bh.from_beir(corpus, {"de:q:1": "aab"}, {"de:q:1": {"de:1": 1}})
    [task] = beir_hybrid.mteb.tasks(collection, settings="mono")
    assert evaluate_by_mteb([task]) == {"de-de": 1.0}
    with pytest.raises(BadOption, match="has no multi settings"):
        beir_hybrid.mteb.tasks(collection, settings="multi")


@pytest.mark.parametrize("name", ["MIRACLReranking", "mFollowIRCrossLingual"])
def test_tasks_with_candidates_or_instructions_are_refused(name: str) -> None:
    """Mteb derives them from its tasks of retrieval."""
    with pytest.raises(BadOption, match=rf"mteb:{name} is no retrieval of texts, but .*Reranking"):
        bh.load(f"mteb:{name}")


def test_bad_rows_are_refused_or_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PASSAGES["deu"], "D1", " ")
    with pytest.raises(BadData, match="de, passage 'D1' is one of the passages without text"):
        bh.load("mteb:LettersRetrieval", ["de"])
    monkeypatch.setitem(RELEVANT["deu"], "2", {"D1": 1})
    collection = bh.load("mteb:LettersRetrieval", ["de"], on_bad="drop")
    assert collection.options["dropped"] == {
        "passages without text": 1,
        "judgements of passages that are not there": 1,
        "queries without a relevant passage": 1,
    }


def test_names_that_are_none() -> None:
    with pytest.raises(UnknownName, match="no task of mteb 'XQuADRetrieva'; did you mean 'XQuAD"):
        bh.load("mteb:XQuADRetrieva")
    with pytest.raises(BadOption, match="mteb:STS12 is no retrieval of texts, but STS"):
        find_dataset("mteb:STS12")
    with pytest.raises(UnknownName, match="no catalogue of datasets 'mtep'; did you mean 'mteb'"):
        bh.load("mtep:XQuADRetrieval")
    with pytest.raises(BadOption, match="mteb:LettersRetrieval has no split 'dev'; there are test"):
        bh.load("mteb:LettersRetrieval", split="dev")


def test_what_mteb_cannot_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object, **__: object) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(LettersRetrieval, "load_data", fail)
    with pytest.raises(Unreachable, match="mteb cannot load LettersRetrieval: no route to the hub"):
        bh.load("mteb:LettersRetrieval")


def test_variants_have_scripts_only_where_two_would_be_one() -> None:
    assert "zh" in find_dataset("mteb:XQuADRetrieval").languages
    languages = find_dataset("mteb:BelebeleRetrieval").languages
    assert len(languages) == 122
    assert {"zh-Hans", "zh-Hant", "ar", "ar-Latn"} <= {*languages}


def test_a_task_whose_subsets_name_the_language_of_the_queries_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """CUREv1 has English passages and questions in three languages; its own loader reads files."""
    files: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": "d1", "title": "Teeth", "text": "They are hard."}],
        "qrels": [{"query-id": "q1", "corpus-id": "d1", "score": 1}],
        "queries-en": [{"_id": "q1", "text": "What are teeth?"}],
        "queries-es": [{"_id": "q1", "text": "¿Qué son los dientes?"}],
        "queries-fr": [{"_id": "q1", "text": "Que sont les dents ?"}],
    }
    configs = []
    for name, rows in files.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
        configs.append(f"- config_name: {name}\n  data_files:\n")
        configs.append(f"  - split: genetics\n    path: {name}.jsonl\n")
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n")
    task = type(mteb.get_task("CUREv1"))
    dataset = task.metadata.dataset | {"path": str(tmp_path)}
    changes = {"dataset": dataset, "eval_splits": ["genetics"]}
    monkeypatch.setattr(task, "metadata", task.metadata.model_copy(update=changes))
    collection = bh.load("mteb:CUREv1")
    assert collection.passages["id"].to_pylist() == ["en:d1"]
    [spanish] = [row for row in collection.queries.to_pylist() if row["id"] == "es:q:q1"]
    assert spanish["text"] == "¿Qué son los dientes?"
    assert [s.name for s in collection.list_settings()] == ["en-en", "es-en", "fr-en"]


def test_the_sides_of_subsets_of_several_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mteb_tasks.order_sides("MKQARetrieval", ["no", "nn", "nb"]) == ("no", "no")
    monkeypatch.delitem(mteb_tasks.HAS_QUERIES_FIRST, "LettersRetrieval")
    with pytest.raises(BadOption, match="does not say which of them is that of the queries"):
        bh.load("mteb:LettersRetrieval")
    assert bh.load("mteb:LettersRetrieval", ["en"]).languages == ("en",)
