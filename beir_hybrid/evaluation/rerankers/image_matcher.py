"""Matchers: models that read an image together with a caption, and score how well they match."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, take_rows
from beir_hybrid.collection.setting import IMAGE, KindName
from beir_hybrid.encoding.fingerprint import hash_tokenizer, hash_weights
from beir_hybrid.encoding.model_inputs import find_long_texts
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.vectors import shorten_name
from beir_hybrid.progress import hide_progress_bars

if TYPE_CHECKING:
    from torch import Tensor

_LIBRARIES = ("transformers", "torch", "pillow")

Pair = tuple[str, str]  # a caption, and the key of an image


class ImageMatcher(ABC):
    """A model that reads an image and a caption together.

    A score is the logit of a match minus that of no match: it orders pairs by the probability of a
    match, and does not run out of digits near 0 and 1.
    """

    KIND: ClassVar[str]
    LABEL: ClassVar[str]  # stands before the model's name in results
    UNUSED_WEIGHTS: ClassVar[tuple[str, ...]]  # prefixes of weights that no score depends on

    def __init__(
        self, model: str | Path, *, batch_size: int = 32, device: str | None = None
    ) -> None:
        from sentence_transformers.util import get_device_name

        self.model_name, self.batch_size = str(model), batch_size
        self.name = f"{self.LABEL} {shorten_name(str(model))}"
        self.model, self.tokenizer = self._load_or_explain(str(model))
        self.model.eval().to(device or get_device_name())
        self.max_seq_length = self._text_config.max_position_embeddings
        self.fingerprint: Mapping[str, object] = {
            "kind": self.KIND,
            "weights": hash_weights(self.model),
            "tokenizer": hash_tokenizer(self.tokenizer),
            "config": to_plain_json(self.model.config.to_diff_dict()),
            "device": self.model.device.type,
            "versions": {name: version(name) for name in _LIBRARIES},
        }

    def bind(self, collection: Collection) -> "ImageCaptionScorer":
        """Return the scorer of a collection's images and captions."""
        if not collection.has_images:
            raise BadOption(
                f"{self.name} compares images with captions, and {collection.name} has no "
                "images; a cross-encoder reranks texts"
            )
        keys, paths = list[np.ndarray](), dict[str, Path]()
        for table, rows, prefix in (
            (collection.queries, collection.find_query_rows(IMAGE), f"{IMAGE}:q:"),
            (collection.passages, collection.find_passage_rows(IMAGE), f"{IMAGE}:"),
        ):
            images = table.slice(rows.start, len(rows)).select(["id", "text", "image"]).to_pylist()
            sources = [self.find_source(row["id"].removeprefix(prefix), row) for row in images]
            paths |= dict(sources)
            keys.append(np.array([key for key, _ in sources], dtype=object))
        return ImageCaptionScorer(self, keys[0], keys[1], paths)

    def score_captions(self, pairs: Sequence[Pair], paths: Mapping[str, Path]) -> np.ndarray:
        """Return the score of each pair, (n,) float32.

        Pairs with the same image are scored one after another, so that it is read once.
        """
        import torch

        order = sorted(range(len(pairs)), key=lambda i: (pairs[i][1], len(pairs[i][0])))
        scores, images = np.empty(len(pairs), np.float32), dict[str, Any]()
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                captions, keys = zip(*(pairs[i] for i in batch), strict=True)
                new_keys = [key for key in dict.fromkeys(keys) if key not in images]
                images = {key: images[key] for key in keys if key in images}
                if new_keys:
                    new_images = self.read_images({key: paths[key] for key in new_keys})
                    images |= zip(new_keys, new_images, strict=True)
                tokens = self._tokenize(captions)
                logits = self.compute_logits(tokens, [images[key] for key in keys])
                scores[batch] = (logits[:, 1] - logits[:, 0]).float().cpu().numpy()
        return scores

    def _tokenize(self, captions: Sequence[str]) -> Mapping[str, "Tensor"]:
        tokens: Any = self.tokenizer(
            list(captions),
            padding=True,
            return_tensors="pt",
            truncation=True,
            max_length=self.max_seq_length,
        )
        moved: Mapping[str, Tensor] = tokens.to(self.model.device)
        return moved

    def to_model(self, tensor: "Tensor") -> "Tensor":
        """Move a tensor to the device and type of the model."""
        return tensor.to(self.model.device, self.model.dtype)

    def load_weights(self, model_class: Any, name: str) -> Any:
        """Load a model, or raise `BadData` if weights that scores depend on are missing."""
        with hide_progress_bars():
            model, report = model_class.from_pretrained(name, output_loading_info=True)
        missing = [key for key in report["missing_keys"] if not key.startswith(self.UNUSED_WEIGHTS)]
        if missing:
            raise BadData(f"{name} is no {model_class.__name__}: it lacks {min(missing)}")
        return model

    def _load_or_explain(self, name: str) -> tuple[Any, Any]:
        try:
            return self.load(name)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadData(f"cannot load the matcher {name!r}: {reason}") from error

    @property
    def _text_config(self) -> Any:
        return getattr(self.model.config, "text_config", self.model.config)

    @abstractmethod
    def load(self, name: str) -> tuple[Any, Any]:
        """Return the model and its tokenizer."""

    @abstractmethod
    def find_source(self, image_id: str, row: Mapping[str, str]) -> tuple[str, Path]:
        """Return a key that identifies the content of an image, and the file to read."""

    @abstractmethod
    def read_images(self, paths: Mapping[str, Path]) -> Sequence[Any]:
        """Read images by key, or raise `BadData` if a file has changed since its key was made."""

    @abstractmethod
    def compute_logits(self, tokens: Mapping[str, "Tensor"], images: Sequence[Any]) -> "Tensor":
        """Return the logits of no match and of a match for captions and images, (n, 2)."""


@dataclass(frozen=True, eq=False)
class ImageCaptionScorer:
    """The `PairScorer` of a matcher on one collection."""

    matcher: ImageMatcher
    query_keys: np.ndarray  # the key of each image among the queries, in the order of rows
    passage_keys: np.ndarray
    paths: Mapping[str, Path]

    setting_kinds: ClassVar[tuple[KindName, ...]] = ("text-image", "image-text", "image-pool")
    input_description: ClassVar[str] = "images with captions"

    @property
    def name(self) -> str:
        """The name in results and messages."""
        return self.matcher.name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Everything on which scores depend beside the pairs."""
        return self.matcher.fingerprint

    def make_pairs(
        self,
        collection: Collection,
        kind: KindName,
        query_rows: np.ndarray,
        passage_rows: np.ndarray,
    ) -> list[str]:
        """Return the caption and the key of the image of each pair, as JSON."""
        if kind == "text-image":
            keys = self.passage_keys[passage_rows - collection.find_passage_rows(IMAGE).start]
            captions, caption_rows = collection.queries["text"], query_rows
        else:
            keys = self.query_keys[query_rows - collection.find_query_rows(IMAGE).start]
            captions, caption_rows = join_titles(collection.view().passages), passage_rows
        distinct, place = np.unique(caption_rows, return_inverse=True)
        texts = take_rows(captions, distinct).to_pylist()
        return [
            json.dumps([texts[i], key], ensure_ascii=False)
            for i, key in zip(place.tolist(), keys.tolist(), strict=True)
        ]

    def score(self, pairs: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n,) float32."""
        return self.matcher.score_captions(_read_pairs(pairs), self.paths)

    def find_truncated(self, pairs: Sequence[str]) -> list[int] | None:
        """Return the indexes of pairs whose captions are longer than the matcher reads."""
        return find_long_texts(self.matcher, [caption for caption, _ in _read_pairs(pairs)])


def _read_pairs(pairs: Sequence[str]) -> list[Pair]:
    return [(caption, key) for caption, key in map(json.loads, pairs)]


def to_plain_json(settings: Mapping[str, object]) -> Any:
    """Convert the settings of a model to JSON types."""
    return json.loads(json.dumps(settings, default=str, sort_keys=True))
