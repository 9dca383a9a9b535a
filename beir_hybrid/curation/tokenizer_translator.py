"""The part of an engine of translation that its tokenizer decides: lengths and languages."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from langcodes import tag_distance
from langcodes.language_lists import CLDR_LANGUAGES

from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.languages import normalise

_OTHER_LANGUAGE = 10  # the distance of languages that do not stand for each other, as nb for no
_LONGEST = 512  # tokens of a text, if the model does not say
_NO_LIMIT = 1_000_000  # what tokenizers say that have no limit is larger
# Tokens that name a language: of M2M100, Marian, NLLB and mBART.
_LANGUAGE_TOKEN = re.compile(
    r"__(?P<m2m>[a-z]{2,3})__|>>(?P<marian>\w+)<<|(?P<other>[a-z]{3}_[A-Z][a-z]{3}|[a-z]{2}_[A-Z]{2})"
)


class TokenizerTranslator:
    """An engine with a tokenizer of transformers, which knows how its model is told languages."""

    batch_size = 32

    def __init__(self, name: str, tokenizer: Any, n_positions: int | None = None) -> None:
        self.name, self.tokenizer = name, tokenizer
        limits = (tokenizer.model_max_length, n_positions)
        self._first_pair: tuple[str, str] | None = None  # of a model that names no languages
        self.longest = min(
            [limit for limit in limits if limit and limit < _NO_LIMIT], default=_LONGEST
        )

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
