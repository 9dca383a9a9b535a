"""LXMERT as a matcher of images and captions, by region features from files."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.rerankers.image_matcher import ImageMatcher
from beir_hybrid.files import explain_read_errors, sha256

if TYPE_CHECKING:
    from torch import Tensor

_REGIONS = 36  # of an image: LXMERT was trained with as many

RegionFeatures = tuple["Tensor", "Tensor"]  # (36, 2048) features and (36, 4) boxes


class LxmertMatcher(ImageMatcher):
    """LXMERT, which reads the regions that a detector found in an image.

    Parameters
    ----------
    model
        A name on the hub, such as ``unc-nlp/lxmert-base-uncased``, or a folder.
    features
        A folder with ``KEY.npz`` for each image: ``features``, (36, 2048), and ``boxes``,
        (36, 4), the latter as shares of the image's width and height.
    """

    KIND = "lxmert-matcher"
    LABEL = "LXMERT cross-modality match"
    UNUSED_WEIGHTS = ("answer_head", "obj_predict_head", "cls.predictions")

    def __init__(
        self,
        model: str | Path,
        features: str | Path,
        *,
        batch_size: int = 32,
        device: str | None = None,
    ) -> None:
        self.features = Path(features)
        if not self.features.is_dir():
            raise BadOption(f"there is no folder {features} of region features")
        super().__init__(model, batch_size=batch_size, device=device)

    def load(self, name: str) -> tuple[Any, Any]:
        """Return the model and its tokenizer."""
        from transformers import AutoTokenizer, LxmertForPreTraining

        tokenizer: Any = AutoTokenizer.from_pretrained(name)
        return self.load_weights(LxmertForPreTraining, name), tokenizer

    def find_source(self, image_id: str, row: Mapping[str, str]) -> tuple[str, Path]:  # noqa: ARG002
        """Return the checksum of an image's features, and their path."""
        path = self.features / f"{image_id}.npz"
        if not path.is_file():
            raise BadData(
                f"{self.features} lacks {image_id}.npz, the region features of {image_id!r}"
            )
        return f"sha256:{sha256(path)}", path

    def read_images(self, paths: Mapping[str, Path]) -> Sequence[RegionFeatures]:
        """Read features and boxes."""
        return [self._read_regions(key, path) for key, path in paths.items()]

    def _read_regions(self, key: str, path: Path) -> RegionFeatures:
        import torch

        config = self.model.config
        widths = {"features": config.visual_feat_dim, "boxes": config.visual_pos_dim}
        tensors = []
        for (name, width), array in zip(
            widths.items(), _read_arrays(key, path, widths), strict=True
        ):
            if array.shape != (_REGIONS, width):
                raise BadData(f"{path}: {name} is {array.shape}, not {(_REGIONS, width)}")
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise BadData(f"{path}: {name} holds other things than finite numbers")
            tensors.append(self.to_model(torch.from_numpy(array.astype(np.float32))))
        features, boxes = tensors
        if boxes.min() < 0 or boxes.max() > 1:
            raise BadData(
                f"{path}: boxes reach from {boxes.min():g} to {boxes.max():g}; they have to be "
                "shares of the image's width and height"
            )
        return features, boxes

    def compute_logits(
        self, tokens: "Mapping[str, Tensor]", images: Sequence[RegionFeatures]
    ) -> "Tensor":
        """Return the logits of no match and of a match, (n, 2)."""
        import torch

        features, boxes = zip(*images, strict=True)
        output = self.model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            visual_feats=torch.stack(features),
            visual_pos=torch.stack(boxes),
        )
        logits: Tensor = output.cross_relationship_score
        return logits


def _read_arrays(key: str, path: Path, names: Iterable[str]) -> list[np.ndarray]:
    """Read arrays of a file whose checksum is in its key."""
    with explain_read_errors(path, "is no file of region features"):
        content = path.read_bytes()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != key:
            raise BadData(f"{path} has changed since the evaluation began; evaluate again")
        with np.load(BytesIO(content), allow_pickle=False) as archive:
            return [np.asarray(archive[name]) for name in names]
