"""Draw passages of XQuAD-R by multilingual-e5-small, before and after a calibration.

``python -m benchmarks.models.spaces FILE.png`` writes the picture of `docs/bias.md`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.extras.e5_small import write_e5_small

METHOD = "mean-language"
SAMPLE = 200  # passages of each language


def main(path: Path) -> None:
    """Draw the two principal components of both spaces, languages in colours."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    import beir_hybrid as bh
    from beir_hybrid.collection.arrays import join_titles
    from beir_hybrid.encoding import as_encoder, encode

    collection = bh.load("xquad-r")
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        encoder = as_encoder(str(write_e5_small(Path(folder) / "model")))
        vectors = encode(encoder, join_titles(collection.view().passages), "passages")
        calibration = bh.calibrate(encoder, collection, METHOD)
    ranges = {lang: collection.find_passage_rows(lang) for lang in collection.languages}
    corrected = calibration.correct(vectors, ranges, "passages")
    draw = np.random.default_rng(1)
    rows = {
        lang: np.sort(draw.choice(np.array(span), SAMPLE, replace=False))
        for lang, span in ranges.items()
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    colours = plt.get_cmap("tab20")(np.linspace(0, 1, len(rows)))
    for axis, space, title in (
        (axes[0], vectors, "as it is"),
        (axes[1], corrected, METHOD),
    ):
        for (lang, points), colour in zip(project(space, rows).items(), colours, strict=True):
            axis.scatter(*points.T, s=6, color=colour, label=lang, linewidths=0, alpha=0.8)
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[1].legend(
        loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3, frameon=False, title="passage"
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})


def project(vectors: Any, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the first two principal components of some rows, by language."""
    sample = np.concatenate([vectors.take(language_rows) for language_rows in rows.values()])
    centred = sample - sample.mean(axis=0)
    components = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    return dict(zip(rows, np.split(components, len(rows)), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
