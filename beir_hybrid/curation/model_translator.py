"""Translation by a sequence-to-sequence model of transformers: Marian, NLLB, M2M100, mBART, T5."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from langcodes import tag_distance
from langcodes.language_lists import CLDR_LANGUAGES

from beir_hybrid.encoding.fingerprint import hash_tokenizer, hash_weights
from beir_hybrid.errors import BadData, BadOption, UnknownName, find_reason
from beir_hybrid.languages import normalise

_OTHER_LANGUAGE = 10  # the distance of languages that do not stand for each other, as nb for no
_LONGEST = 512  # tokens of a text, if the model does not say
_NO_LIMIT = 1_000_000  # what tokenizers say that have no limit is larger
# Tokens that name a language: of M2M100, Marian, NLLB and mBART.
_LANGUAGE_TOKEN = re.compile(
    r"__(?P<m2m>[a-z]{2,3})__|>>(?P<marian>\w+)<<|(?P<other>[a-z]{3}_[A-Z][a-z]{3}|[a-z]{2}_[A-Z]{2})"
)


class ModelTranslator:
    """A model of transformers, greedy and so reproducible.

    Parameters
    ----------
    name
        A name on the hub, or a folder.
    """

    batch_size = 32

    def __init__(self, name: str) -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from beir_hybrid.progress import hide_progress_bars

        self.name = f"hf:{name}"
        try:
            with hide_progress_bars():
                self.tokenizer: Any = AutoTokenizer.from_pretrained(name)
                self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(name).eval()
            self._model.to("cuda" if torch.cuda.is_available() else "cpu")
        except Exception as error:  # the hub's client and its parsers raise anything
            raise BadData(f"{name!r} is no model that translates: {find_reason(error)}") from error
        limits = (
            self.tokenizer.model_max_length,
            getattr(self._model.config, "max_position_embeddings", None),
        )
        self._first_pair: tuple[str, str] | None = None  # of a model that names no languages
        self.longest = min(
            [limit for limit in limits if limit and limit < _NO_LIMIT], default=_LONGEST
        )

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """Checksums of the weights and the tokenizer."""
        return {"weights": hash_weights(self._model), "tokenizer": hash_tokenizer(self.tokenizer)}

    @cached_property
    def _language_tokens(self) -> dict[str, str]:
        """The first token of each language that the model can be told."""
        special = {*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()}
        tokens: dict[str, str] = {}
        for code, token in self._list_tokens():
            if token in special or token.startswith((">>", "__")):
                tokens.setdefault(code, token)
        return tokens

    def _list_tokens(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of a language code and the token that names the language."""
        for token in sorted(self.tokenizer.get_vocab()):
            if match := _LANGUAGE_TOKEN.fullmatch(token):
                try:
                    yield normalise(match[match.lastgroup or 0]), token
                except BadData:  # an ordinary word of such a form
                    continue

    def measure(self, text: str) -> int:
        """Return the number of tokens, with those that frame a text and name a language."""
        return len(self.tokenizer(text, verbose=False).input_ids) + 1

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Translate texts as one batch."""
        import torch

        prefix, options = self.name_languages(source, target)
        inputs = self.tokenizer(
            [f"{prefix}{text}" for text in texts], return_tensors="pt", padding=True
        ).to(self._model.device)
        n_tokens = min(self.longest, 2 * inputs.input_ids.shape[1] + 32)
        with torch.inference_mode():
            tokens = self._model.generate(
                input_ids=inputs.input_ids,
                attention_mask=inputs.attention_mask,
                max_new_tokens=n_tokens,
                num_beams=1,
                do_sample=False,
                **options,
            )
        translations = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(translation.split()) for translation in translations]

    def _check_pair(self, source: str, target: str) -> None:
        """Raise `BadOption` if a model that cannot be told languages has others.

        They are those of its tokenizer, where a family of languages stands for any, or if that
        names none, the first that are asked for.
        """
        names = [getattr(self.tokenizer, f"{role}_lang", None) for role in ("source", "target")]
        if not any(names):
            self._first_pair = self._first_pair or (source, target)
            names = list(self._first_pair)
        codes = [_find_language(name) for name in names]
        if any(
            code and tag_distance(lang, code) >= _OTHER_LANGUAGE
            for code, lang in zip(codes, (source, target), strict=True)
        ):
            raise BadOption(
                f"{self.name} translates from {names[0]!r} into {names[1]!r} alone, and not from "
                f"{source!r} into {target!r}"
            )

    def name_languages(self, source: str, target: str) -> tuple[str, dict[str, Any]]:
        """Tell the model the languages; return the prefix of texts and options of `generate`."""
        tokens = self._language_tokens
        if not tokens:
            self._check_pair(source, target)
            return "", {}
        if target not in tokens:
            languages = ", ".join(sorted(tokens))
            raise UnknownName(f"{self.name} translates into {languages}, not {target!r}")
        if tokens[target].startswith(">>"):
            return f"{tokens[target]} ", {}
        if source not in tokens:
            raise BadOption(f"{self.name} reads {', '.join(sorted(tokens))}, not {source!r}")
        self.tokenizer.src_lang = tokens[source].strip("_")
        return "", {"forced_bos_token_id": self.tokenizer.convert_tokens_to_ids(tokens[target])}


def _find_language(name: object) -> str | None:
    """Return the code of a language; None for a family of languages, such as gmq, or nothing."""
    try:
        code = normalise(name) if isinstance(name, str) else None
    except BadData:
        return None
    return code if code in CLDR_LANGUAGES else None
