"""Pictures and captions in, how well each fits the other out: matchers that rerank."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles, to_arrow
from beir_hybrid.collection.setting import IMAGE, KindName
from beir_hybrid.encoding.encoder import Role
from beir_hybrid.encoding.parts import find_long, tokenizer_hash, weights_hash
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.progress import hide_progress_bars

_LIBRARIES = ("transformers", "torch", "pillow")


class Matcher(ABC):
    """A model that reads a picture and a caption together.

    A score is the logit of a match less that of none: it puts pairs in the order of their
    probability, and does not run out of digits near 0 and 1.
    """

    KIND: ClassVar[str]
    LABEL: ClassVar[str]  # what results call it, before the model's name
    UNUSED: ClassVar[tuple[str, ...]]  # weights that a score does not depend on

    def __init__(
        self, model: str | Path, *, batch_size: int = 32, device: str | None = None
    ) -> None:
        from sentence_transformers.util import get_device_name

        self.asked, self.batch_size = str(model), batch_size
        self.name = f"{self.LABEL} {model}"
        self.model, self.tokenizer = self._loaded(str(model))
        self.model.eval().to(device or get_device_name())
        self.max_seq_length = self._config.max_position_embeddings
        self.fingerprint: Mapping[str, Any] = {
            "kind": self.KIND,
            "weights": weights_hash(self.model),
            "tokenizer": tokenizer_hash(self.tokenizer),
            "config": plain(self.model.config.to_diff_dict()),
            "device": self.model.device.type,
            "versions": {name: version(name) for name in _LIBRARIES},
        }

    def of(self, collection: Collection) -> "Matching":
        """Return what scores a collection's pictures and captions."""
        if not collection.has_images:
            raise BadOption(
                f"{self.name} compares pictures with captions, and {collection.name} has no "
                "pictures; a cross-encoder reranks texts"
            )
        keys, paths = list[np.ndarray](), dict[str, Path]()
        for table, rows, prefix in (
            (collection.queries, collection.find_query_rows(IMAGE), f"{IMAGE}:q:"),
            (collection.passages, collection.find_passage_rows(IMAGE), f"{IMAGE}:"),
        ):
            found = table.slice(rows.start, len(rows)).select(["id", "text", "image"]).to_pylist()
            column = [self.source(row["id"].removeprefix(prefix), row) for row in found]
            paths |= dict(column)
            keys.append(np.array([key for key, _ in column], dtype=object))
        return Matching(self, keys[0], keys[1], paths)

    def match(self, pairs: Sequence[tuple[str, str]], paths: Mapping[str, Path]) -> np.ndarray:
        """Return a score for each pair of a caption and a picture's key, (n,).

        Pairs of a picture are scored one after another, so that it is read once.
        """
        import torch

        order = sorted(range(len(pairs)), key=lambda at: (pairs[at][1], len(pairs[at][0])))
        scores, read = np.empty(len(pairs), np.float32), dict[str, Any]()
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                places = order[start : start + self.batch_size]
                captions, keys = zip(*(pairs[at] for at in places), strict=True)
                new = [key for key in dict.fromkeys(keys) if key not in read]
                read = {key: read[key] for key in keys if key in read}
                if new:
                    read |= zip(new, self.pictures({key: paths[key] for key in new}), strict=True)
                logits = self.logits(self._tokens(captions), [read[key] for key in keys])
                scores[places] = (logits[:, 1] - logits[:, 0]).float().cpu().numpy()
        return scores

    def _tokens(self, captions: Sequence[str]) -> Any:
        limit = {"truncation": True, "max_length": self.max_seq_length}
        tokens = self.tokenizer(list(captions), padding=True, return_tensors="pt", **limit)
        return tokens.to(self.model.device)

    def _moved(self, tensor: Any) -> Any:
        return tensor.to(self.model.device, self.model.dtype)

    def _weights(self, kind: Any, name: str) -> Any:
        """Load a model that lacks no weight which scores depend on."""
        with hide_progress_bars():
            model, told = kind.from_pretrained(name, output_loading_info=True)
        lost = [key for key in told["missing_keys"] if not key.startswith(self.UNUSED)]
        if lost:
            raise BadData(f"{name} is no {kind.__name__}: it lacks {min(lost)}")
        return model

    def _loaded(self, name: str) -> tuple[Any, Any]:
        try:
            return self.load(name)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BadData(f"cannot load the matcher {name!r}: {first}") from error

    @property
    def _config(self) -> Any:
        return getattr(self.model.config, "text_config", self.model.config)

    @abstractmethod
    def load(self, name: str) -> tuple[Any, Any]:
        """Return the model and its tokenizer."""

    @abstractmethod
    def source(self, key: str, row: Mapping[str, str]) -> tuple[str, Path]:
        """Return what identifies the content that is read of a picture, and where it lies."""

    @abstractmethod
    def pictures(self, paths: Mapping[str, Path]) -> Sequence[Any]:
        """Read pictures, or raise `BadData` if one is no longer what its key identifies."""

    @abstractmethod
    def logits(self, tokens: Any, pictures: Sequence[Any]) -> Any:
        """Return the logits of no match and of a match for captions and pictures, (n, 2)."""


@dataclass(frozen=True, eq=False)
class Matching:
    """A matcher as the store sees it, on one collection: a pair is a text, its score a vector."""

    matcher: Matcher
    queries: np.ndarray  # the key of each picture's content, in the order of rows
    passages: np.ndarray
    paths: Mapping[str, Path]

    kinds: ClassVar[tuple[KindName, ...]] = ("text-image", "image-text", "image-pool")
    compares: ClassVar[str] = "pictures with captions"

    @property
    def name(self) -> str:
        """What results call the matcher."""
        return self.matcher.name

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What scores depend on beside the pairs."""
        return self.matcher.fingerprint

    def pairs(
        self, collection: Collection, kind: KindName, query: np.ndarray, passage: np.ndarray
    ) -> list[str]:
        """Return a caption and the key of a picture for each query and passage, by rows."""
        if kind == "text-image":
            keys = self.passages[passage - collection.find_passage_rows(IMAGE).start]
            captions, rows = collection.queries["text"], query
        else:
            keys = self.queries[query - collection.find_query_rows(IMAGE).start]
            captions, rows = join_titles(collection.view().passages), passage
        distinct, place = np.unique(rows, return_inverse=True)
        texts = captions.take(to_arrow(distinct)).to_pylist()
        return list(_joined(texts, place.tolist(), keys.tolist()))

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the score of each pair, (n, 1)."""
        return self.matcher.match(_pairs(texts), self.paths).reshape(-1, 1)

    encode_queries = encode_passages

    def find_cut(self, texts: Sequence[str], _role: Role) -> list[int] | None:
        """Return the places of the pairs whose captions are longer than the matcher reads."""
        return find_long(self.matcher, [caption for caption, _ in _pairs(texts)])


def _joined(texts: Sequence[str], place: Sequence[int], keys: Sequence[str]) -> Iterator[str]:
    for at, key in zip(place, keys, strict=True):
        yield json.dumps([texts[at], key], ensure_ascii=False)


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(caption, key) for caption, key in map(json.loads, texts)]


def plain(known: Mapping[str, Any]) -> Any:
    """Return settings as JSON can hold them."""
    return json.loads(json.dumps(known, default=str, sort_keys=True))
