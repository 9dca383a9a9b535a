"""The calls of the package that the golden test makes, and encoders with exact arithmetic."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import beir_hybrid as bh
from beir_hybrid.results.timing import Timing


def build_texts(
    corpus: Mapping[str, Mapping[str, str]],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    groups: Mapping[str, str],
    name: str,
) -> Any:
    return bh.from_beir(corpus, queries, qrels, groups=groups, name=name)


def load_images(folder: Path) -> Any:
    return bh.load("jsonl-image-text", path=str(folder))


def list_ids(collection: Any) -> tuple[list[str], list[str]]:
    """Return the ids of queries and passages, in the order of rows."""
    return collection.queries["id"].to_pylist(), collection.passages["id"].to_pylist()


def evaluate(
    model: Any,
    collection: Any,
    *,
    measures: Sequence[str] | None = None,
    settings: Sequence[str] | None = None,
    runs: Path | None = None,
    depth: int | None = None,
    reranker: Any = None,
    name: str = "",
) -> Any:
    kinds: Any = settings
    return bh.evaluate(
        model,
        collection,
        measures=measures,
        settings=kinds,
        runs=runs,
        depth=depth,
        rerank=reranker,
        name=name,
    )


def evaluate_runs(paths: Sequence[Path], collection: Any, measures: Sequence[str] | None) -> Any:
    return bh.evaluate_runs(paths, collection, measures=measures)


def read_vectors(folder: Path, collection: Any) -> Any:
    return bh.read_vectors(folder, collection)


def evaluate_bm25(collection: Any, runs: Path, **options: Any) -> Any:
    return bh.bm25(collection, runs=runs, **options)


def fuse(runs: Sequence[Any], method: str, **options: Any) -> dict[str, dict[str, float]]:
    return bh.fuse(runs, method, **options)


def write_run(path: Path, content: Mapping[str, Mapping[str, float]]) -> Path:
    return bh.write_run(path, content)


def save_and_load(results: Any, folder: Path) -> Any:
    """Save results and load them."""
    return bh.Results.load(results.save(folder))


def drop_timing(results: Any) -> Any:
    """Return results without the date and the seconds that they took, which pages show."""
    return replace(results, timing=Timing())


def per_query(results: Any) -> dict[str, list[Any]]:
    """Return the columns of kind, queries, passages, query, question and measures."""
    return results.per_query().to_pydict()


def list_averages(results: Any) -> Iterator[tuple[str, str, list[float], int, float | None]]:
    """Yield kind, measure, mean, low, high and micro, number of rankings, unbiased value."""
    for kind, averages in results.summary().items():
        for measure, average in averages.items():
            values = [average.mean, average.low, average.high, average.micro]
            yield kind, str(measure), values, average.queries, average.unbiased


def get_matrix(results: Any, measure: str, *, one_target: bool = False) -> tuple[Any, Any, Any]:
    """Return the names of rows and columns, and the values."""
    table = results.matrix(measure, one_target=one_target)
    return table.rows, table.columns, table.values


def list_comparisons(
    first: Any, second: Any, by: str, test: str
) -> Iterator[tuple[str, Any, list[float], int]]:
    """Yield measure, setting, figures and number of questions of every comparison."""
    way: Any = by
    kind: Any = test
    for pair in bh.compare(first, second, by=way, test=kind):
        gap = pair.difference
        values = [gap.mean_a, gap.mean_b, gap.value, gap.low, gap.high, gap.p, gap.effect]
        yield str(pair.measure), pair.setting, [*values, pair.p_holm], gap.n_groups


def rank_systems(systems: Mapping[str, Any], measure: str, kind: str) -> dict[str, int]:
    setting: Any = kind
    return bh.rank_systems(systems, measure, setting)


def format_comparison(
    systems: Mapping[str, Any], baseline: str, by: str, measures: Sequence[str]
) -> dict[str, str]:
    """Return the tables of the command `compare` by the names of their formats."""
    from beir_hybrid.report.formats import FORMATS
    from beir_hybrid.report.system_comparison import compare_systems

    way: Any = by
    table = compare_systems(systems, baseline=baseline, by=way, measures=measures)
    return {name: form.write(table) for name, form in FORMATS.items()}


def write_pages(results: Sequence[Any], folder: Path) -> list[Path]:
    """Write a leaderboard; return its pages."""
    return sorted(bh.leaderboard(results, folder, local_files=True).parent.rglob("*.html"))


def build_index(
    model: Any, collection: Any, folder: Path, kind: str, **options: Any
) -> dict[str, Path]:
    """Build an index; return its files of vectors and of ids by their names."""
    way: Any = kind
    bh.build_index(model, collection, folder, kind=way, **options)
    files = sorted(path for path in folder.rglob("*") if path.name in ("index", "docid"))
    return {str(path.relative_to(folder)): path for path in files}


def search(folder: Path, model: Any, texts: list[str], k: int) -> list[list[tuple[str, float]]]:
    return bh.open_index(folder, model).search(texts, k)


def write_topics(collection: Any, folder: Path, model: Any, **options: Any) -> list[Path]:
    return bh.write_topics(collection, folder, model, **options)


def build_pairs(groups: Sequence[Mapping[str, Any]], name: str) -> Any:
    return bh.pairs_from_groups(groups, name=name)


def join_pairs(parts: Sequence[Any]) -> Any:
    return bh.join_pairs(parts)


def draw_batches(
    pairs: Any, strategy: str, seed: int, epoch: int, *, full: bool, processes: int = 1
) -> list[list[int]]:
    """Return the numbers of each batch's rows; of `full` batches alone, or of all."""
    sampler = bh.HybridBatchSampler(
        pairs, 4, full, seed=seed, strategy=strategy, world_size=processes
    )
    sampler.set_epoch(epoch)
    return list(sampler)


def name_row(pairs: Any, number: int) -> str:
    """Return group, query language and passage language of a row."""
    group, query, passage = pairs.decode_row(number)
    return f"{group}:{query}-{passage}"


def read_texts(pairs: Any, numbers: Sequence[int]) -> list[str]:
    """Return query and passage of rows."""
    table = pairs.__getitems__(list(numbers))
    return [f"{columns['anchor']} | {columns['positive']}" for columns in table]


def count_overlap(first: str, second: str) -> int:
    """Return of how many signs two texts have the same number, modulo 3."""
    return sum(first.count(sign) % 3 == second.count(sign) % 3 for sign in "abcdef0123")


class Letters:
    """An encoder that counts letters in texts and reads one pixel of an image."""

    name = "letters"
    fingerprint: Mapping[str, Any] = {"kind": "letters"}

    def __init__(self, letters: str = "abcdeinr") -> None:
        self.letters = letters
        self.fingerprint = {"kind": "letters", "letters": letters}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, 8) counts."""
        rows = [[text.count(letter) for letter in self.letters] for text in texts]
        return np.array(rows, np.float32)

    encode_passages = encode_queries

    def encode_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """Return (n, 8) steps of red, green and blue, and of their sums."""
        rows = [[value // 64 for value in picture.getpixel((0, 0))] for picture in pictures]
        whole = np.array([[r, g, b, r + g, 1, b, r, g] for r, g, b in rows], np.float32)
        return whole[:, : len(self.letters)]


class Corners:
    """An encoder whose rows have -2 and 2 for their ends, so that a byte a number is exact."""

    name = "corners"
    fingerprint: Mapping[str, Any] = {"kind": "corners"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, 8) numbers from -2 to 2."""
        sums = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
        return np.array([[byte % 5 - 2 for byte in row] for row in sums], np.float32)

    encode_passages = encode_queries


def make_cross_encoder() -> Any:
    """Return a cross-encoder without weights, that counts the letters two texts have in common."""
    import torch
    from sentence_transformers import CrossEncoder

    def start(self: Any) -> None:
        torch.nn.Sequential.__init__(self)

    def predict(_self: Any, pairs: Sequence[tuple[str, str]], **_options: Any) -> np.ndarray:
        return np.array([count_overlap(*pair) for pair in pairs], np.float32)

    facts: dict[str, Any] = {
        "num_labels": 1,
        "prompts": {},
        "default_prompt_name": None,
        "activation_fn": None,
        "tokenizer": None,
        "max_seq_length": None,
        "modalities": (),
        "dtype": torch.float32,
        "device": torch.device("cpu"),
    }
    return type("Overlap", (CrossEncoder,), {"__init__": start, "predict": predict, **facts})()


def make_matcher() -> Any:
    """Return a matcher without weights, that compares a caption with an image's checksum."""

    def start(self: Any) -> None:
        self.model_name = self.name = "checksums"
        self.max_seq_length = self.tokenizer = None
        self.fingerprint = {"kind": "checksums"}

    def score_captions(_self: Any, pairs: Sequence[tuple[str, str]], _paths: Any) -> np.ndarray:
        return np.array([count_overlap(*pair) for pair in pairs], np.float32)

    return type(
        "Checksums", (bh.BlipMatcher,), {"__init__": start, "score_captions": score_captions}
    )()
