"""Compare encoding image files by our pipeline with a model that gets the images as tensors.

The vision tower has the size of CLIP's ViT-B/32, with random weights. Both sides encode the same
images in turns, each going first in every other pair: ours from the files, into the store of
embeddings; theirs from tensors in memory, resized and normalised.
``python -m benchmarks.images FOLDER`` prints JSON for a folder of PNG files.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, estimate, list_versions, print_table, run_child

IMAGES, BATCH, PAIRS = 192, 32, 10
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}


def main() -> None:
    """Encode the images of a folder beside the mirror of real files, and print the rates."""
    mirror = os.environ.get("BEIR_HYBRID_MIRROR")
    folder = Path(mirror).parent / "emoji" / "png" if mirror else Path()
    if not mirror or not folder.is_dir():
        print("needs images: a folder emoji/png beside the one that BEIR_HYBRID_MIRROR names")
        return
    run = run_child("images", folder, **ENVIRONMENT)
    result = run.result
    print(
        f"{list_versions('sentence-transformers', 'torch', 'pillow')}.\n\nThe first {IMAGES} "
        f"images of the emoji set (72 x 72, PNG), {PAIRS} pairs of turns after one\nmore, "
        f"batches of {BATCH}, 2 threads; largest resident set {run.peak / MIB:,.0f} MiB. Medians, "
        "with\nintervals of the true median.\n"
    )
    rows = [("", "images a second")]
    for name, seconds in (("from files, into the store", "ours"), ("from tensors", "theirs")):
        rows.append(
            (
                name,
                estimate([IMAGES / turn_seconds for turn_seconds in result[seconds]]).show(",.1f"),
            )
        )
    print_table(*rows)
    pairs = zip(result["ours"], result["theirs"], strict=True)
    ratio = estimate([theirs / ours for ours, theirs in pairs])
    print(
        f"\nthroughput, files / tensors: {ratio.show(',.3f')}, "
        f"at least 0.9: {ratio.verdict(at_least=0.9)}"
    )


def time_both(images: Sequence[Path]) -> dict[str, list[float]]:
    """Return the seconds of each turn of both sides."""
    import torch

    from beir_hybrid.encoding import SentenceTransformerEncoder

    torch.set_num_threads(2)
    encoder = SentenceTransformerEncoder(_make_model(), batch_size=BATCH)
    ours, theirs = _make_our_turn(encoder, images), _make_tensor_turn(encoder, images)
    sides: dict[str, Callable[[], None]] = {"ours": ours, "theirs": theirs}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(PAIRS + 1):
        for name in sorted(sides, reverse=turn % 2 == 1):
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: result[1:] for name, result in seconds.items()}


def _make_our_turn(encoder: Any, images: Sequence[Path]) -> Callable[[], None]:
    from beir_hybrid.encoding import encode
    from beir_hybrid.files import sha256

    keys = [f"sha256:{sha256(path)}" for path in images]
    paths = [str(path) for path in images]
    encoder.fingerprint  # noqa: B018 - computed once for all turns

    def turn() -> None:
        with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as store:
            encode(encoder, keys, "images", folder=Path(store), paths=paths)

    return turn


def _make_tensor_turn(encoder: Any, images: Sequence[Path]) -> Callable[[], None]:
    import torch

    from beir_hybrid.images import open_image

    model = encoder.model
    batches = [
        model.preprocess([open_image(path) for path in images[start : start + BATCH]])
        for start in range(0, len(images), BATCH)
    ]

    def turn() -> None:
        with torch.inference_mode():
            for batch in batches:
                result = model(dict(batch))["sentence_embedding"]
                torch.nn.functional.normalize(result, p=2, dim=1).numpy()

    return turn


def _make_model() -> Any:
    """Return a CLIP with a vision tower of full size, and a tiny text tower."""
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    small_tower = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vocabulary = [*sorted(ByteLevel.alphabet()), "<|startoftext|>", "<|endoftext|>"]
    texts = small_tower | {"vocab_size": 258, "bos_token_id": 256, "eos_token_id": 257}
    tokenizer_class: Any = CLIPTokenizer  # transformers leaves them untyped
    processor_class: Any = CLIPImageProcessorPil
    clip_processor_class: Any = CLIPProcessor
    tokenizer = tokenizer_class(
        vocab={token: number for number, token in enumerate(vocabulary)}, merges=[]
    )
    with tempfile.TemporaryDirectory(prefix="beir-hybrid-") as folder:
        CLIPModel(CLIPConfig(text_config=texts)).save_pretrained(folder)
        clip_processor_class(processor_class(), tokenizer).save_pretrained(folder)
        return SentenceTransformer(folder, device="cpu")


if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).glob("*.png"))[:IMAGES]
    print(json.dumps(time_both(files)))
