"""A model and pairs in, an adapter for each language, and an encoder that uses them, out."""

import copy
import hashlib
import logging
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.encoding.encoder import Role, SentenceTransformerEncoder
from beir_hybrid.errors import BadData, BadOption, MissingExtra
from beir_hybrid.files import sha256
from beir_hybrid.languages import choose_languages
from beir_hybrid.pairs.parallel_pairs import ParallelPairs, join_pairs
from beir_hybrid.training.record import ADAPTER, CHECKPOINTS
from beir_hybrid.training.train import train

logger = logging.getLogger(__name__)

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # before the names of weights, as peft writes them


def train_adapters(
    model: Any,
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    languages: Iterable[str] | None = None,
    strategy: Strategy | str = "x-image",
    lora: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Path]:
    """Train an adapter of the text tower for each language, on its pairs alone; return folders.

    The model is the same start for each, and its own weights stay as they are. `output` gets a
    folder of `bh.train` for each language, with its adapter in ``adapter``.

    Parameters
    ----------
    languages
        All by default.
    strategy
        One that draws pairs of one language: ``x-image``, or ``x-x-mono`` for texts.
    lora
        Options of peft's ``LoraConfig``, and ``layers``, which are all by default; see `bh.train`.
    options
        Of `bh.train`, for all of them.
    """
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    there = [lang for lang in pairs.languages if lang != IMAGE]
    chosen = (
        there if languages is None else choose_languages("language of the pairs", languages, there)
    )
    found = {}
    for lang in chosen:
        folder = Path(output) / lang
        start = model if isinstance(model, str | Path) else copy.deepcopy(model)
        how = replace(parse_strategy(strategy), languages=(lang,))
        # All of the text tower and nothing of the other one: pictures are in no language.
        adapted = {"layers": "all"} | dict(lora or {})
        train(start, pairs, folder, strategy=how, lora=adapted, **options)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        found[lang] = folder / ADAPTER
    return found


class LanguageAdapters:
    """A model with an adapter for each language as an `Encoder` of one collection's texts.

    An encoder is not told the language of a text, so this one knows the collection: a text of it is
    encoded with the adapter of its language. A text that the collection has in several languages,
    one in a language without adapter, one from elsewhere, and all pictures are encoded without any.
    Never are two adapters at work at once: peft would add them up.

    Parameters
    ----------
    model
        What the adapters were trained on: a name on the hub, a folder or a ``SentenceTransformer``.
    adapters
        Folders by language, as `bh.train_adapters` returns them.
    collection
        The one whose texts will be encoded.
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
        model: Any,
        adapters: Mapping[str, str | Path],
        collection: Collection,
        **options: Any,
    ) -> None:
        start = model if isinstance(model, str | Path) else copy.deepcopy(model)
        self.encoder = SentenceTransformerEncoder(start, **options)
        self.name = f"{self.encoder.name} with adapters"
        self.n_parameters = self.encoder.n_parameters  # of the model alone
        self.languages = _languages(collection, set(adapters))
        texts = hashlib.sha256(repr(sorted(self.languages.items())).encode()).hexdigest()
        # Before the adapters are in it.
        known = dict(self.encoder.fingerprint)
        found = {}
        for lang, folder in sorted(adapters.items()):
            if not (Path(folder) / _WEIGHTS).is_file():
                raise BadData(f"{folder} has no adapter: there is no {_WEIGHTS}")
            found[lang] = sha256(Path(folder) / _WEIGHTS)
            self._load(Path(folder), lang)
        if not found:
            raise BadOption("no adapters are named")
        self.fingerprint = known | {"adapters": found, "languages": texts}
        self._use(None)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query."""
        return self._encode(texts, "queries")

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage."""
        return self._encode(texts, "passages")

    @property
    def encode_images(self) -> Callable[[Sequence[Any]], np.ndarray]:
        """What returns a row for each picture; a model that reads none lacks it."""
        return self.encoder.encode_images

    def find_cut(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the places of the texts that are longer than the model reads."""
        return self.encoder.find_cut(texts, role)

    def encode_in(self, lang: str | None, texts: Sequence[str], role: Role) -> np.ndarray:
        """Return a row for each text, all encoded with the adapter of a language, or with none."""
        encode = {"queries": self.encoder.encode_queries, "passages": self.encoder.encode_passages}
        self._use(lang)
        try:
            return encode[role](texts)
        finally:
            self._use(None)

    def _encode(self, texts: Sequence[str], role: Role) -> np.ndarray:
        langs = np.array([self.languages.get(text, "") for text in texts])
        parts = {lang: np.flatnonzero(langs == lang) for lang in sorted(set(langs.tolist()))}
        rows = [self.encode_in(lang or None, [texts[at] for at in places.tolist()], role)
                for lang, places in parts.items()]  # fmt: skip
        found = np.empty((len(texts), rows[0].shape[1]), rows[0].dtype)
        for places, part in zip(parts.values(), rows, strict=True):
            found[places] = part
        return found

    def _load(self, folder: Path, lang: str) -> None:
        """Add an adapter.

        Not by ``load_adapter`` of transformers: it takes all weights with "lora", or the adapter's
        name, in their names for that adapter's, and makes those anew that its file lacks. So a
        second adapter undoes the first, and one that is called "en" the encoder.
        """
        try:
            from peft import LoraConfig, set_peft_model_state_dict
        except ImportError as error:
            raise MissingExtra("adapters need peft: pip install 'beir-hybrid[train]'") from error
        from safetensors.torch import load_file

        weights = load_file(folder / _WEIGHTS)
        plain = {name.removeprefix(_PREFIX): tensor for name, tensor in weights.items()}
        try:
            with warnings.catch_warnings():
                # Several adapters are what is wanted; one at a time is at work.
                warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
                self.encoder.model.add_adapter(LoraConfig.from_pretrained(str(folder)), lang)
                body = self.encoder.model.transformers_model
                outcome: Any = set_peft_model_state_dict(body, plain, adapter_name=lang)
        except (AttributeError, ValueError, RuntimeError) as error:
            raise BadOption(f"{folder} is no adapter of {self.encoder.name}: {error}") from error
        if outcome.unexpected_keys:
            wrong = outcome.unexpected_keys[0]
            raise BadOption(f"{folder} is no adapter of {self.encoder.name}, which has no {wrong}")
        self.encoder.model.eval()

    def _use(self, lang: str | None) -> None:
        model = self.encoder.model
        if lang is None:
            model.disable_adapters()
        else:
            model.enable_adapters()
            model.set_adapter(lang)


def _languages(collection: Collection, adapted: set[str]) -> dict[str, str]:
    """Return the language of each text that is in one language alone, of those with adapters."""
    found: dict[str, str] = {}
    both: set[str] = set()
    passages = collection.view().passages
    for langs, texts in (
        (collection.queries["lang"], collection.queries["text"]),
        (passages["lang"], join_titles(passages)),
    ):
        for lang, text in zip(langs.to_pylist(), texts.to_pylist(), strict=True):
            if lang != IMAGE and found.setdefault(text, lang) != lang:
                both.add(text)
    if both:
        logger.warning(
            "%s: %d texts are in several languages, and are encoded without an adapter, first %r",
            collection.name, len(both), min(both),
        )  # fmt: skip
    return {text: lang for text, lang in found.items() if text not in both and lang in adapted}
