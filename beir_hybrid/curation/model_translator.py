"""Translation by a sequence-to-sequence model of transformers: Marian, NLLB, M2M100, mBART, T5."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from beir_hybrid.curation.tokenizer_translator import TokenizerTranslator
from beir_hybrid.encoding.fingerprint import hash_tokenizer, hash_weights
from beir_hybrid.errors import BadData, find_reason


class ModelTranslator(TokenizerTranslator):
    """A model of transformers, greedy and so reproducible.

    Parameters
    ----------
    name
        A name on the hub, or a folder.
    """

    def __init__(self, name: str) -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from beir_hybrid.progress import hide_progress_bars

        try:
            with hide_progress_bars():
                tokenizer: Any = AutoTokenizer.from_pretrained(name)
                self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(name).eval()
            self._model.to("cuda" if torch.cuda.is_available() else "cpu")
        except Exception as error:  # the hub's client and its parsers raise anything
            raise BadData(f"{name!r} is no model that translates: {find_reason(error)}") from error
        n_positions = getattr(self._model.config, "max_position_embeddings", None)
        super().__init__(f"hf:{name}", tokenizer, n_positions)

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """Checksums of the weights and the tokenizer."""
        return {"weights": hash_weights(self._model), "tokenizer": hash_tokenizer(self.tokenizer)}

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
