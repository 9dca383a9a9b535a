"""BLIP as a matcher of images and captions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.encoding.images import open_unchanged_image
from beir_hybrid.evaluation.rerankers.image_matcher import ImageMatcher, to_plain_json

if TYPE_CHECKING:
    from torch import Tensor


class BlipMatcher(ImageMatcher):
    """BLIP's matching head, which stands in for ALBEF's: no library maintains that model.

    Parameters
    ----------
    model
        A name on the hub, such as ``Salesforce/blip-itm-base-coco``, or a folder.

    Examples
    --------
    >>> matcher = BlipMatcher("Salesforce/blip-itm-base-coco")  # doctest: +SKIP
    >>> bh.evaluate(model, collection, rerank=matcher, depth=128)  # doctest: +SKIP
    """

    KIND = "blip-matcher"
    LABEL = "BLIP matching head (stand-in for ALBEF)"
    UNUSED_WEIGHTS = ("vision_proj", "text_proj")

    def load(self, name: str) -> tuple[Any, Any]:
        """Return the model and its tokenizer."""
        from transformers import BlipForImageTextRetrieval, BlipProcessor

        model = self.load_weights(BlipForImageTextRetrieval, name)
        processor: Any = BlipProcessor.from_pretrained(name)
        self.processor = processor.image_processor
        return model, processor.tokenizer

    def __init__(
        self, model: str | Path, *, batch_size: int = 32, device: str | None = None
    ) -> None:
        super().__init__(model, batch_size=batch_size, device=device)
        self.fingerprint = {
            **self.fingerprint,
            "processor": to_plain_json(self.processor.to_dict()),
        }

    def find_source(self, image_id: str, row: Mapping[str, str]) -> tuple[str, Path]:  # noqa: ARG002
        """Return the checksum of an image's file, and its path."""
        return row["text"], Path(row["image"])

    def read_images(self, paths: Mapping[str, Path]) -> "Sequence[Tensor]":
        """Encode images, each independently of captions."""
        pixels = self.processor(
            [open_unchanged_image(*pair) for pair in paths.items()], return_tensors="pt"
        )
        vectors: Sequence[Tensor] = self.model.vision_model(self.to_model(pixels["pixel_values"]))[
            0
        ]
        return vectors

    def compute_logits(
        self, tokens: "Mapping[str, Tensor]", images: "Sequence[Tensor]"
    ) -> "Tensor":
        """Return the logits of no match and of a match, (n, 2)."""
        import torch

        output = self.model.text_encoder(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            encoder_hidden_states=torch.stack(list(images)),
        )
        logits: Tensor = self.model.itm_head(output[0][:, 0])
        return logits
