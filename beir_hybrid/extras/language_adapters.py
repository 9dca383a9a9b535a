"""Language adapters: LoRA of the text tower for each language, and an encoder that applies them."""

import copy
import hashlib
import logging
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.encoder import EncoderWrapper, Role
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.errors import BadData, BadOption, MissingExtra
from beir_hybrid.files import explain_read_errors, sha256
from beir_hybrid.languages import choose_languages
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.record import ADAPTER, CHECKPOINTS
from beir_hybrid.training.train import train
from beir_hybrid.training.tuning import Tuning

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

_WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # before the names of weights in peft's files


def train_adapters(
    model: "str | Path | SentenceTransformer",
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    languages: Iterable[str] | None = None,
    strategy: Strategy | str = "x-image",
    tuning: Tuning | None = None,
    **options: Any,
) -> dict[str, Path]:
    """Train an adapter of the text tower for each language, on its pairs alone.

    All start from the same model, whose own weights stay as they are. `output` gets a folder of
    `bh.train` for each language, with its adapter in ``adapter``. Returns the adapters' folders by
    language.

    Parameters
    ----------
    languages
        All languages of the pairs by default.
    strategy
        One whose pairs are in one language: ``x-image``, or ``x-x-mono`` for texts.
    tuning
        Of `bh.train`. ``lora`` adapts all layers of the text tower by default.
    options
        Of `bh.train`, for all languages.
    """
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    choices = [lang for lang in pairs.languages if lang != IMAGE]
    if languages is not None:
        choices = list(choose_languages("language of the pairs", languages, choices))
    adapters = {}
    for lang in choices:
        folder = Path(output) / lang
        start = model if isinstance(model, str | Path) else copy.deepcopy(model)
        # All layers of the text tower, and none of the vision tower: images have no language.
        lora = {"layers": "all"} | dict((tuning or {}).get("lora") or {})
        train(
            start,
            pairs,
            folder,
            strategy=replace(parse_strategy(strategy), languages=(lang,)),
            tuning=Tuning(**{**(tuning or Tuning()), "lora": lora}),
            **options,
        )
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        adapters[lang] = folder / ADAPTER
    return adapters


class LanguageAdapters(EncoderWrapper):
    """A model with an adapter for each language, as an `Encoder` of one collection's texts.

    An encoder does not learn the language of a text, so this one looks it up in the collection: a
    text is encoded with the adapter of its language. Texts that the collection has in several
    languages, texts in a language without an adapter, texts that are not in the collection, and
    images are encoded without any. Two adapters are never active at once: peft would add them up.

    Parameters
    ----------
    model
        The model that the adapters were trained on: a hub name, folder or ``SentenceTransformer``.
    adapters
        Folders by language, as `bh.train_adapters` returns them.
    collection
        The collection whose texts will be encoded.
    options
        Of `SentenceTransformerEncoder`.

    Examples
    --------
    >>> adapters = bh.train_adapters("clip", pairs, "adapters", max_steps=500)  # doctest: +SKIP
    >>> encoder = bh.LanguageAdapters("clip", adapters, collection)  # doctest: +SKIP
    >>> bh.evaluate(encoder, collection)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: "str | Path | SentenceTransformer",
        adapters: Mapping[str, str | Path],
        collection: Collection,
        **options: Any,
    ) -> None:
        start = model if isinstance(model, str | Path) else copy.deepcopy(model)
        self.base = SentenceTransformerEncoder(start, **options)
        super().__init__(self.base)
        self.name, self.revision = f"{self.base.name} with adapters", ""
        self.n_parameters = self.base.n_parameters  # of the model alone
        self.languages = _find_text_languages(collection, set(adapters))
        texts = hashlib.sha256(repr(sorted(self.languages.items())).encode()).hexdigest()
        model_fingerprint = dict(self.encoder.fingerprint)  # before the adapters are added
        checksums = {}
        for lang, folder in sorted(adapters.items()):
            if not (Path(folder) / _WEIGHTS_FILE).is_file():
                raise BadData(f"{folder} has no adapter: there is no {_WEIGHTS_FILE}")
            checksums[lang] = sha256(Path(folder) / _WEIGHTS_FILE)
            self._load_adapter(Path(folder), lang)
        if not checksums:
            raise BadOption("no adapters are named")
        self.fingerprint = model_fingerprint | {"adapters": checksums, "languages": texts}
        self._activate(None)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, dim) vectors of queries."""
        return self._encode_by_language(texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, dim) vectors of passages."""
        return self._encode_by_language(texts, "passages")

    def encode_in(self, lang: str | None, texts: Sequence[str], role: Role) -> np.ndarray:
        """Return vectors of texts, all encoded with the adapter of a language, or with none."""
        encode = {"queries": self.encoder.encode_queries, "passages": self.encoder.encode_passages}
        self._activate(lang)
        try:
            return encode[role](texts)
        finally:
            self._activate(None)

    def _encode_by_language(self, texts: Sequence[str], role: Role) -> np.ndarray:
        langs = np.array([self.languages.get(text, "") for text in texts])
        places = {lang: np.flatnonzero(langs == lang) for lang in sorted(set(langs.tolist()))}
        parts = [
            self.encode_in(lang or None, [texts[i] for i in rows.tolist()], role)
            for lang, rows in places.items()
        ]
        vectors = np.empty((len(texts), parts[0].shape[1]), parts[0].dtype)
        for rows, part in zip(places.values(), parts, strict=True):
            vectors[rows] = part
        return vectors

    def _load_adapter(self, folder: Path, lang: str) -> None:
        """Add an adapter to the model.

        ``load_adapter`` of transformers cannot be used: it takes all weights whose names contain
        "lora", or the adapter's name, for those of the adapter, and initialises those that its file
        lacks. So a second adapter destroys the first, and one that is called "en" the encoder.
        """
        try:
            from peft import LoraConfig, set_peft_model_state_dict
        except ImportError as error:
            raise MissingExtra("adapters need peft: pip install 'beir-hybrid[train]'") from error
        from safetensors.torch import load_file

        with explain_read_errors(folder / _WEIGHTS_FILE, "is no file of weights"):
            tensors = load_file(folder / _WEIGHTS_FILE)
        weights = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
        try:
            with warnings.catch_warnings():
                # Several adapters are intended; one at a time is active.
                warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
                self.base.model.add_adapter(LoraConfig.from_pretrained(str(folder)), lang)
                body = self.base.model.transformers_model
                outcome: Any = set_peft_model_state_dict(body, weights, adapter_name=lang)
        except (AttributeError, ValueError, RuntimeError) as error:
            raise BadOption(f"{folder} is no adapter of {self.encoder.name}: {error}") from error
        if outcome.unexpected_keys:
            name = outcome.unexpected_keys[0]
            raise BadOption(f"{folder} is no adapter of {self.encoder.name}, which has no {name}")
        self.base.model.eval()

    def _activate(self, lang: str | None) -> None:
        """Activate the adapter of a language and no other, or none."""
        model = self.base.model
        if lang is None:
            model.disable_adapters()
        else:
            model.enable_adapters()
            model.set_adapter(lang)


def _find_text_languages(collection: Collection, adapter_languages: set[str]) -> dict[str, str]:
    """Return the language of each text that is in one language only, and that has an adapter."""
    languages: dict[str, str] = {}
    ambiguous: set[str] = set()  # texts in several languages
    passages = collection.view().passages
    for langs, texts in (
        (collection.queries["lang"], collection.queries["text"]),
        (passages["lang"], join_titles(passages)),
    ):
        for lang, text in zip(langs.to_pylist(), texts.to_pylist(), strict=True):
            if lang != IMAGE and languages.setdefault(text, lang) != lang:
                ambiguous.add(text)
    if ambiguous:
        logger.warning(
            "%s: %d texts are in several languages, and are encoded without an adapter, first %r",
            collection.name, len(ambiguous), min(ambiguous),
        )  # fmt: skip
    return {
        text: lang
        for text, lang in languages.items()
        if text not in ambiguous and lang in adapter_languages
    }
