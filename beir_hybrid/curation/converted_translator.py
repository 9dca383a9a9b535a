"""Translation by a model that CTranslate2 has converted, which runs several times as fast."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from beir_hybrid.curation.tokenizer_translator import TokenizerTranslator
from beir_hybrid.encoding.fingerprint import hash_tokenizer
from beir_hybrid.errors import BadData, MissingExtra, find_reason
from beir_hybrid.integrity import record_files

_MODEL, _PREFIX = "model.bin", "forced_bos_token_id"
_CURE = (
    "ct2-transformers-converter --model MODEL --output_dir DIR --copy_files with the files of the "
    "model's tokenizer"
)


class ConvertedTranslator(TokenizerTranslator):
    """A folder of `ct2-transformers-converter` with the model's tokenizer beside it; greedy."""

    def __init__(self, folder: str) -> None:
        try:
            import ctranslate2
        except ImportError as error:
            raise MissingExtra("this engine needs CTranslate2: pip install ctranslate2") from error
        from transformers import AutoTokenizer

        self._folder = Path(folder)
        if not (self._folder / _MODEL).is_file():
            raise BadData(
                f"{folder!r} is no converted model, which has {_MODEL}; make one by {_CURE}"
            )
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = ctranslate2.Translator(folder, device="auto")
        except Exception as error:  # both raise anything
            reason = find_reason(error)
            raise BadData(f"{folder!r} cannot be read: {reason}; make it by {_CURE}") from error
        super().__init__(f"ctranslate2:{folder}", tokenizer)

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """Checksums of the model's files and the tokenizer, and the type that it computes in."""
        names = [_MODEL, *sorted(path.name for path in self._folder.glob("*vocabulary*"))]
        return {
            "files": record_files(self._folder, names),
            "tokenizer": hash_tokenizer(self.tokenizer),
            "compute type": self._model.compute_type,
        }

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Translate texts as one batch."""
        prefix, options = self.name_languages(source, target)
        to_tokens = self.tokenizer.convert_ids_to_tokens
        tokens = [to_tokens(self.tokenizer(f"{prefix}{text}").input_ids) for text in texts]
        first = [to_tokens(options[_PREFIX])] if _PREFIX in options else []
        n_tokens = min(self.longest - 2, 2 * max(map(len, tokens)) + 32)  # 2 tokens precede them
        results = self._model.translate_batch(
            tokens, target_prefix=[first] * len(tokens) if first else None, beam_size=1,
            max_input_length=0, max_decoding_length=n_tokens,
        )  # fmt: skip
        ids = [
            self.tokenizer.convert_tokens_to_ids(result.hypotheses[0][len(first) :])
            for result in results
        ]
        translations = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(translation.split()) for translation in translations]
