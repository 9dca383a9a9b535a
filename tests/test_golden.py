"""Results, runs, indexes and pages equal, to the last bit, those recorded in ``golden.json``.

The file was recorded with commit ec5824b, before the redesign, except for three cases and three
measures. ``sampler`` and ``rest`` were recorded anew when the shares of batch kinds and languages
came to hold over a whole epoch; ``compare`` when the notes below its tables were reworded, with
equal numbers. ``Bpref`` and ``P(judged_only=True)@2`` of ``dense``, ``rerank`` and ``bm25`` were,
when judgements below 0 reached ir-measures; ``SameLanguageShare`` (and the pages of ``board``,
which show it), when queries without a relevant passage in their language lost their value.
``compare`` and ``board`` were, when values got the decimals of their differences (6.5000 became
6.5), comparisons intervals in every setting, model pages all measures, and the first page began to
draw hidden columns by script; no other number on comparisons and model pages changed. ``board``
was once more, when cells stopped repeating a sort key that equals their text (ranks), and when the
small print and bold cells of differences by language came to follow t instead of a normal
distribution; no other number changed. ``compare`` was once more, when the heading "where" of its
tables became "setting". ``board`` was once more, when all figures of a row on pages of comparisons
got equal decimals (+3.0139 -4.2808 +11.1 became +3.0 -4.3 +11.1), and when unbiased values got
those of their row (1.6944 beside 35.6 became 1.7). ``compare`` was once more, when its tables of
differences got a column of unbiased values; no number in them changed.

``python -m tests.test_golden --record CASE`` records a case anew. Whoever does so has to state
which number changes, and why.

Vectors are small integers, so that scores are exact on every machine. Logarithms and sums of
fractions are not: numbers are compared to the last bit where `hash_arithmetic` equals the hash of
the machine that recorded the file, and to 12 digits elsewhere. Floats are stored as `float.hex`
writes them, without trailing zeros; files as their SHA-256. Recording some cases keeps the hash, so
it has to be done on a machine with that arithmetic, unless the case holds texts alone (``board``).
"""

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from tests.golden_calls import (
    Corners,
    Letters,
    build_index,
    draw_batches,
    drop_timing,
    evaluate,
    evaluate_bm25,
    evaluate_runs,
    format_comparison,
    fuse,
    join_pairs,
    list_comparisons,
    list_ids,
    make_cross_encoder,
    make_matcher,
    name_row,
    rank_systems,
    read_texts,
    read_vectors,
    save_and_load,
    search,
    write_pages,
    write_run,
    write_topics,
)
from tests.golden_data import (
    make_image_pairs,
    make_images,
    make_pairs,
    make_texts,
    write_external_run,
    write_good_vectors,
    write_vectors,
)
from tests.golden_text import Figures, format_line, hash_bytes, hash_files, list_cells, list_figures

GOLDEN = Path(__file__).with_name("golden.json")
# A name in `golden.json`, such as a measure, a kind of settings or a file, and its name now.
RENAMES: dict[str, str] = {}

TEXT_KINDS = ("mono", "cross", "multi", "one-target")
IMAGE_KINDS = ("text-image", "image-text", "image-pool", "mixed")
STRATEGIES = (
    "en-en",
    "x-x",
    "x-x-mono",
    "x-y",
    "x-y-batch",
    "hybrid",
    "hybrid:alpha=0.25",
    "hybrid:cross=cross",
    "hybrid:temperature=0.5",
    "x-y-batch:temperature=1",
)
IMAGE_STRATEGIES = ("x-image", "x-image-rows", "hybrid-image", "hybrid-image:alpha=0.3,cross=cross")
PLAIN = ("AP", "nDCG@10", "R@1", "R@10", "R@100", "RR", "RR@10", "P@5", "Success@5", "Rprec")
OTHER = ("Judged@10", "nDCG(dcg='exp-log2')@5", "Bpref", "P(judged_only=True)@2")
BIAS = (
    "RankDistance",
    "RankDistance(normalized=True)",
    "RankDistance@7",
    "LanguagePreference",
    "SameLanguageShare@10",
    "SameLanguageShare@3",
    "LanguageExposure@10",
    "LanguageExposure(discount='geometric')@4",
    "PEER",
    "PEER@9",
    "PEER(weights={1:1.0,2:3.0})",
)
IMAGE_BIAS = (
    "LanguageDisparity",
    "LanguageDisparity(normalized=True)",
    "ModalityShare@10",
    "ModalityShare@3",
)


def dense(folder: Path) -> dict[str, Any]:
    collection = make_texts()
    results = evaluate(
        Letters(),
        collection,
        measures=[*PLAIN, *OTHER, *BIAS],
        settings=TEXT_KINDS,
        runs=folder / "runs",
        depth=12,
    )
    plain = evaluate(Letters("abcd"), collection)
    shallow = evaluate(Letters("ab"), collection, measures=["AP", "RR@10"], settings=["mono"])
    return {
        "every measure": list_figures(save_and_load(results, folder / "results")),
        "runs": hash_files(folder / "runs"),
        "matrix": list_cells(results, "AP"),
        "one target": list_cells(results, "nDCG@10", one_target=True),
        "default": list_figures(plain),
        "ties": list_figures(shallow),
    }


def image(folder: Path) -> dict[str, Any]:
    collection = make_images(folder / "pictures")
    results = evaluate(
        Letters(),
        collection,
        measures=[*PLAIN[:6], "Bpref", "Judged@10", "Success@1", *BIAS, *IMAGE_BIAS],
        settings=[*TEXT_KINDS, *IMAGE_KINDS],
        runs=folder / "runs",
        depth=9,
    )
    runs = [folder / "runs" / name for name in
            ("en-image.trec", "image-all.trec", "image-de.trec", "th-mixed.trec")]  # fmt: skip
    return {
        "every measure": list_figures(results),
        "runs": hash_files(folder / "runs"),
        "matrix": list_cells(results, "AP"),
        "default": list_figures(evaluate(Letters("abcd"), collection)),
        "external": list_figures(evaluate_runs(runs, collection, None)),
    }


def external(folder: Path) -> dict[str, Any]:
    collection = make_texts()
    queries, passages = list_ids(collection)
    paths = [
        write_external_run(
            folder / f"{lang}-{target}.trec",
            [key for key in queries if key.startswith(lang)],
            [key for key in passages if key.startswith(target) or target == "all"],
            seed,
        )
        for seed, (lang, target) in enumerate([("de", "de"), ("de", "en"), ("th", "all")])
    ]
    mixture = write_external_run(folder / "mixture", queries, passages, 9)
    large = read_vectors(write_vectors(folder / "large", collection, 1), collection)
    small = read_vectors(write_vectors(folder / "small", collection, 2, np.int8), collection)
    # (ir-measures has no Judged of a query that a run lacks.)
    measures = [*PLAIN, *OTHER[1:], *BIAS]
    few = ["AP", "R@10", *BIAS[:2], "SameLanguageShare@10"]
    runs = folder / "runs"
    return {
        "runs": list_figures(evaluate_runs(paths, collection, measures)),
        "mixture": list_figures(evaluate_runs([mixture], collection, None)),
        "vectors": list_figures(evaluate(large, collection, measures=few, runs=runs, depth=7)),
        "vectors' runs": hash_files(runs),
        "small vectors": list_figures(
            evaluate(small, collection, measures=few, settings=TEXT_KINDS)
        ),
    }


def rerank(folder: Path) -> dict[str, Any]:
    collection = make_texts()
    results = evaluate(
        Letters(),
        collection,
        measures=[*PLAIN, *OTHER, *BIAS],
        runs=folder / "texts",
        depth=11,
        reranker=make_cross_encoder(),
    )
    images = evaluate(
        Letters(),
        make_images(folder / "pictures"),
        measures=["AP", "R@1", "RR@10", *BIAS[:3], *IMAGE_BIAS[:2], "SameLanguageShare@3"],
        runs=folder / "images",
        depth=5,
        reranker=make_matcher(),
    )
    return {
        "texts": list_figures(results),
        "texts' runs": hash_files(folder / "texts"),
        "images": list_figures(images),
        "images' runs": hash_files(folder / "images"),
    }


def bm25(folder: Path) -> dict[str, Any]:
    pytest.importorskip("pyserini", reason="BM25 needs it: the extra 'pyserini'")
    collection = make_texts()
    plain = evaluate_bm25(collection, folder / "plain", measures=[*PLAIN, *OTHER[1:], *BIAS])
    other = evaluate_bm25(
        collection, folder / "other", k1=1.2, b=0.75, depth=100, settings="mono multi"
    )
    pair = [folder / "plain" / "en-all.trec", folder / "other" / "en-all.trec"]
    content = {"en:q:1": {"en:1": 0.5, "de:4": 0.25, "de:5": 0.25}, "en:q:2": {"th:2": 7.0}}
    fusions = {
        "rrf": fuse([*pair, content], "rrf", depth=5),
        "interpolation": fuse([pair[0], content], "interpolation", alpha=0.3, depth=5),
    }
    return {
        "plain": list_figures(plain),
        "other": list_figures(other),
        "runs": hash_files(folder / "plain"),
        "other runs": hash_files(folder / "other"),
        "fusion": {
            name: {query: format_line(chain.from_iterable(scores.items()))
                   for query, scores in ranking.items()}
            for name, ranking in fusions.items()
        },
        "fusion's files": {
            name: hash_bytes(write_run(folder / name, ranking).read_bytes())
            for name, ranking in fusions.items()
        },
    }  # fmt: skip


def indexes(folder: Path) -> dict[str, Any]:
    import faiss
    import pandas as pd

    faiss.omp_set_num_threads(1)  # a graph depends on the order in which nodes are added
    collection = make_texts(40)
    sums: dict[str, Any] = {}
    for name, kind, options in (
        ("flat", "flat", {}),
        ("sq8", "sq8", {}),
        ("hnsw", "hnsw", {}),
        ("parts", "flat", {"shards": 3}),
        ("german", "sq8", {"languages": "de"}),
    ):
        files = build_index(Corners(), collection, folder / name, kind, **options)
        sums[name] = {key: hash_bytes(path.read_bytes()) for key, path in files.items()}
    phrases = ["abend", "rice inn", "cedar dance bread"]
    nearest = {
        name: [format_line(chain(*best)) for best in search(folder / name, Corners(), phrases, 7)]
        for name in ("flat", "hnsw")
    }
    *plain, pickle = write_topics(collection, folder / "topics", Letters())
    frame = pd.read_pickle(pickle)  # noqa: S301 - our own
    rows = np.stack(frame["embedding"].tolist())
    german = write_topics(collection, folder / "german topics", None, languages="de")
    return {
        "files": sums,
        "hits": nearest,
        "topics": {path.name: hash_bytes(path.read_bytes()) for path in plain},
        "German topics": {path.name: hash_bytes(path.read_bytes()) for path in german},
        "vectors of topics": {
            "columns": format_line(frame.columns),
            "ids": hash_bytes("\n".join(frame["id"]).encode()),
            "texts": hash_bytes("\n".join(frame["text"]).encode()),
            "rows": f"{rows.dtype} {rows.shape} {hash_bytes(rows.tobytes())}",
        },
    }


def compare(folder: Path) -> dict[str, Any]:
    collection = make_texts(15)
    measures = ["AP", "R@1", *BIAS[:2], "LanguagePreference"]
    systems: dict[str, Any] = {
        name: save_and_load(
            evaluate(model, collection, name=name, settings=TEXT_KINDS, measures=measures),
            folder / name,
        )
        for name, model in (
            ("wide", Letters()),
            ("wider", Letters("abcdeinrd")),
            ("narrow", Letters("ae")),
            ("random", read_vectors(write_vectors(folder / "v", collection, 4), collection)),
            ("good", read_vectors(write_good_vectors(folder / "g", collection, 14), collection)),
            ("better", read_vectors(write_good_vectors(folder / "b", collection, 15), collection)),
            ("half", read_vectors(write_good_vectors(folder / "h", collection, 2), collection)),
        )
    }
    tables = {
        f"{pair[0]} {pair[1]}, {by}, {test}": [
            format_line(
                [
                    measure,
                    setting if isinstance(setting, str) else "/".join(setting),
                    *numbers,
                    n,
                ]
            )
            for measure, setting, numbers, n in list_comparisons(
                systems[pair[0]], systems[pair[1]], by, test
            )
        ]
        for pair, by, test in (
            (("wide", "narrow"), "kind", "randomisation"),
            (("good", "half"), "kind", "t"),
            (("good", "wide"), "setting", "randomisation"),
        )
    }
    order = {
        f"{measure} {kind}": format_line(
            chain.from_iterable(rank_systems(systems, measure, kind).items())
        )
        for kind in TEXT_KINDS
        for measure in ("AP", "R@1", *(["RankDistance"] if kind == "multi" else []))
    }
    trio = {name: systems[name] for name in ("narrow", "good", "better")}
    kind_texts = format_comparison(trio, "narrow", "kind", ["AP", "RankDistance"])
    duo = {name: systems[name] for name in ("good", "narrow")}
    setting_texts = format_comparison(duo, "good", "setting", ["AP"])
    return {
        "systems": {name: list_figures(results)["summary"] for name, results in systems.items()},
        "comparisons": tables,
        "ranks": order,
        "kinds": {form: text.splitlines() for form, text in kind_texts.items()},
        "settings": {form: setting_texts[form].splitlines() for form in ("markdown", "csv")},
    }


def _epochs(pairs: Any, names: Sequence[str], *, rest: bool, processes: int = 1) -> dict[str, Any]:
    """Return the batches of two epochs with two seeds.

    Of the `rest` those of the first epoch behind the last full one, and all of the second: how many
    short ones the first has decides where the second begins.
    """
    table = {}
    for name in names:
        for seed in (0, 7):
            for epoch in (0, 1):
                rows = draw_batches(pairs, name, seed, epoch, full=not rest, processes=processes)
                if rest and epoch == 0:
                    rows = rows[len(draw_batches(pairs, name, seed, epoch, full=True)) :]
                table[f"{name} {seed} {epoch}"] = [
                    " ".join(name_row(pairs, number) for number in batch) for batch in rows
                ]
    return table


def sampler(folder: Path) -> dict[str, Any]:
    pairs = make_pairs(41, "p")
    sources = join_pairs([make_pairs(30, "large"), make_pairs(13, "small", ("de", "en", "fr"))])
    numbers = draw_batches(pairs, "hybrid", 3, 0, full=True)
    words = [text for batch in numbers for text in read_texts(pairs, batch)]
    return {
        "one source": _epochs(pairs, STRATEGIES, rest=False),
        "two sources": _epochs(sources, ["hybrid", "x-y-batch"], rest=False),
        "two processes": _epochs(pairs, ["hybrid", "x-y-batch"], rest=False, processes=2),
        "pictures": _epochs(make_image_pairs(folder / "p"), IMAGE_STRATEGIES, rest=False),
        "texts": words[:8],
        "all texts": hash_bytes("\n".join(words).encode()),
    }


def rest(folder: Path) -> dict[str, Any]:
    pairs = make_pairs(41, "p")
    sources = join_pairs([make_pairs(30, "large"), make_pairs(13, "small", ("de", "en", "fr"))])
    return {
        "one source": _epochs(pairs, STRATEGIES, rest=True),
        "two sources": _epochs(sources, ["hybrid", "x-y-batch"], rest=True),
        "pictures": _epochs(make_image_pairs(folder / "p"), IMAGE_STRATEGIES, rest=True),
    }


def board(folder: Path) -> dict[str, Any]:
    pytest.importorskip("matplotlib", reason="a leaderboard needs it: the extra 'quickstart'")
    collection = make_texts(12)
    systems = [
        drop_timing(evaluate(model, collection, name=name, settings=TEXT_KINDS))
        for name, model in (
            ("wide", Letters()),
            ("narrow", Letters("ae")),
            ("good", read_vectors(write_good_vectors(folder / "good", collection, 5), collection)),
        )
    ]
    site = folder / "site"
    return {
        str(page.relative_to(site)): " ".join(Figures(page).numbers)
        for page in write_pages(systems, site)
    }


CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "dense": dense,
    "image": image,
    "external": external,
    "rerank": rerank,
    "bm25": bm25,
    "indexes": indexes,
    "compare": compare,
    "sampler": sampler,
    "rest": rest,
    "board": board,
}


def hash_arithmetic() -> str:
    """Return a checksum of what differs between processors: logarithms, powers, matrix products."""
    from scipy.special import chdtrc
    from scipy.stats import t

    numbers = np.arange(2, 400) / 3
    parts = [np.log2(numbers), numbers**2.5, chdtrc(2, numbers / 9), t.sf(numbers / 9, 14)]
    for n in (9, 12, 15):
        weights = (np.arange(1000 * n).reshape(1000, n) * 7 % 5).astype(np.float64)
        parts += [(weights @ (numbers[: n * k] / 7).reshape(k, n).T).ravel() for k in (1, 2, 3)]
    return hash_bytes(np.concatenate(parts).tobytes())


def apply_renames(stored: Any) -> Any:
    """Return what is stored, with today's names."""
    if isinstance(stored, dict):
        return {RENAMES.get(key, key): apply_renames(value) for key, value in stored.items()}
    if isinstance(stored, list):
        return [apply_renames(value) for value in stored]
    return "".join(RENAMES.get(part, part) for part in re.split(r"([ *])", stored))


def parse_number(text: str) -> float | None:
    try:
        return float.fromhex(text) if text.lstrip("-").startswith("0x") else float(text)
    except ValueError:
        return None


def split_words(text: str) -> list[str]:
    """Split at what stands between numbers; repeat what stands for several."""
    repeat = re.sub(r"(\S+)\*(\d+)(?!\S)", lambda m: " ".join([m[1]] * int(m[2])), text)
    return re.split(r"([\s,:|&]+)", repeat)


def match_texts(left: str, right: str, *, exact: bool) -> bool:
    """Tell whether two texts are equal; where not `exact`, but for the last digits of numbers."""
    if exact or left == right:
        return left == right
    pair = split_words(left), split_words(right)
    if len(pair[0]) != len(pair[1]):
        return False
    for first, second in zip(*pair, strict=True):
        a, b = parse_number(first), parse_number(second)
        if first != second and (a is None or b is None or not math.isclose(a, b, rel_tol=1e-12)):
            return False
    return True


def find_differences(golden: Any, fresh: Any, place: str, *, exact: bool) -> Iterator[str]:
    """Yield where and how two structures differ."""
    if isinstance(golden, dict) and isinstance(fresh, dict):
        for key in dict.fromkeys([*golden, *fresh]):
            if key not in golden or key not in fresh:
                yield f"{place}/{key}: {'new' if key in fresh else 'gone'}"
            else:
                yield from find_differences(golden[key], fresh[key], f"{place}/{key}", exact=exact)
    elif isinstance(golden, list) and isinstance(fresh, list) and len(golden) == len(fresh):
        for at, pair in enumerate(zip(golden, fresh, strict=True)):
            yield from find_differences(*pair, f"{place}/{at}", exact=exact)
    elif isinstance(golden, str) and isinstance(fresh, str):
        if not match_texts(golden, fresh, exact=exact):
            yield f"{place}:\n  - {golden}\n  + {fresh}"
    else:
        yield f"{place}:\n  - {golden!r}\n  + {fresh!r}"


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, tmp_path: Path) -> None:
    (folder := tmp_path / "case").mkdir()
    stored = json.loads(GOLDEN.read_text("utf-8"))
    exact = stored["arithmetic"] == hash_arithmetic()
    fresh = CASES[name](folder)
    wrong = list(find_differences(apply_renames(stored[name]), fresh, name, exact=exact))
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:20]])


def record_golden(names: Sequence[str]) -> None:
    """Write `golden.json`, or some of its cases."""
    stored = json.loads(GOLDEN.read_text("utf-8")) if names else {}
    stored.setdefault("arithmetic", hash_arithmetic())
    for name in names or CASES:
        with TemporaryDirectory() as folder:
            os.environ["BEIR_HYBRID_CACHE"] = f"{folder}/cache"
            (place := Path(folder, "case")).mkdir()
            stored[name] = CASES[name](place)
    GOLDEN.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] != ["--record"]:
        sys.exit("to write golden.json anew: python -m tests.test_golden --record [CASE...]")
    record_golden(sys.argv[2:])
