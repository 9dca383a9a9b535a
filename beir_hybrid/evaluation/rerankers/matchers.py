"""Models that match pictures with captions, by their names: BLIP and LXMERT."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from beir_hybrid.encoding.images import opened_as
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.rerankers.matching import Matcher, plain
from beir_hybrid.files import sha256

_REGIONS = 36  # of a picture: what LXMERT was trained with


class BlipMatcher(Matcher):
    """BLIP's matching head, which stands in for ALBEF's: that model no library maintains.

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
    UNUSED = ("vision_proj", "text_proj")

    def load(self, name: str) -> tuple[Any, Any]:
        """Return the model and its tokenizer."""
        from transformers import BlipForImageTextRetrieval, BlipProcessor

        model = self._weights(BlipForImageTextRetrieval, name)
        processor: Any = BlipProcessor.from_pretrained(name)
        self.processor = processor.image_processor
        return model, processor.tokenizer

    def __init__(
        self, model: str | Path, *, batch_size: int = 32, device: str | None = None
    ) -> None:
        super().__init__(model, batch_size=batch_size, device=device)
        self.fingerprint = {**self.fingerprint, "processor": plain(self.processor.to_dict())}

    def source(self, key: str, row: Mapping[str, str]) -> tuple[str, Path]:  # noqa: ARG002
        """Return the checksum of the picture's file, and its path."""
        return row["text"], Path(row["image"])

    def pictures(self, paths: Mapping[str, Path]) -> Sequence[Any]:
        """Encode pictures, each by itself."""
        pixels = self.processor([opened_as(*pair) for pair in paths.items()], return_tensors="pt")
        return self.model.vision_model(self._moved(pixels["pixel_values"]))[0]

    def logits(self, tokens: Any, pictures: Sequence[Any]) -> Any:
        """Let the captions look at the pictures."""
        import torch

        read = self.model.text_encoder(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            encoder_hidden_states=torch.stack(list(pictures)),
        )
        return self.model.itm_head(read[0][:, 0])


class LxmertMatcher(Matcher):
    """LXMERT, which reads regions of pictures that a detector found and described.

    Parameters
    ----------
    model
        A name on the hub, such as ``unc-nlp/lxmert-base-uncased``, or a folder.
    features
        A folder with ``KEY.npz`` for each picture: ``features``, (36, 2048), and ``boxes``,
        (36, 4), the latter as shares of the picture's width and height.
    """

    KIND = "lxmert-matcher"
    LABEL = "LXMERT cross-modality match"
    UNUSED = ("answer_head", "obj_predict_head", "cls.predictions")

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
        return self._weights(LxmertForPreTraining, name), tokenizer

    def source(self, key: str, row: Mapping[str, str]) -> tuple[str, Path]:  # noqa: ARG002
        """Return the checksum of the picture's features, and their path."""
        path = self.features / f"{key}.npz"
        if not path.is_file():
            raise BadData(f"{self.features} lacks {key}.npz, the region features of {key!r}")
        return f"sha256:{sha256(path)}", path

    def pictures(self, paths: Mapping[str, Path]) -> Sequence[Any]:
        """Read features and boxes."""
        return [self._regions(key, path) for key, path in paths.items()]

    def _regions(self, key: str, path: Path) -> tuple[Any, Any]:
        import torch

        config = self.model.config
        wanted = {"features": config.visual_feat_dim, "boxes": config.visual_pos_dim}
        found = []
        for (name, width), array in zip(wanted.items(), _arrays(key, path, wanted), strict=True):
            if array.shape != (_REGIONS, width):
                raise BadData(f"{path}: {name} is {array.shape}, not {(_REGIONS, width)}")
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise BadData(f"{path}: {name} holds other things than finite numbers")
            found.append(self._moved(torch.from_numpy(array.astype(np.float32))))
        if found[1].min() < 0 or found[1].max() > 1:
            raise BadData(
                f"{path}: boxes reach from {found[1].min():g} to {found[1].max():g}; they have to "
                "be shares of the picture's width and height"
            )
        return found[0], found[1]

    def logits(self, tokens: Any, pictures: Sequence[Any]) -> Any:
        """Let captions and regions look at each other."""
        import torch

        features, boxes = zip(*pictures, strict=True)
        read = self.model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            visual_feats=torch.stack(features),
            visual_pos=torch.stack(boxes),
        )
        return read.cross_relationship_score


def _arrays(key: str, path: Path, names: Iterable[str]) -> list[np.ndarray]:
    try:
        data = path.read_bytes()
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != key:
            raise BadData(f"{path} has changed since the evaluation began; evaluate again")
        with np.load(BytesIO(data), allow_pickle=False) as stored:
            return [np.asarray(stored[name]) for name in names]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadData(f"{path} is no file of region features: {first}") from error
