"""A model, parallel pairs and a strategy in, a trained model in a folder out."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ir_measures import Measure

from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.collection import Collection
from beir_hybrid.encoding.encoder import SentenceTransformerEncoder, adapt
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.evaluation.evaluate import MEASURES
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.pairs.parallel_pairs import ParallelPairs, join_pairs
from beir_hybrid.training.job import Job, Judge
from beir_hybrid.training.loss import HybridContrastiveLoss
from beir_hybrid.training.record import MODEL, dev_of, dev_pairs_of
from beir_hybrid.training.towers import TOWERS

# The paper's, where it states them; the rest is the trainer's.
DEFAULTS = {"learning_rate": 3e-5, "weight_decay": 1e-2, "save_total_limit": 2}
OURS = {
    "output_dir": "output",
    "batch_sampler": "strategy",
    "multi_dataset_batch_sampler": "strategy",
    "prompts": "query_prompt and passage_prompt",
    "resume_from_checkpoint": "the folder, for a training that was killed goes on by itself",
}


def train(
    model: Any,
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    strategy: Strategy | str = "hybrid",
    loss: Mapping[str, Any] | None = None,
    dev: Collection | ParallelPairs | None = None,
    primary: str | None = None,
    measures: Iterable[Measure | str] = MEASURES,
    patience: int | None = None,
    max_length: int | None = None,
    encoder: Mapping[str, Any] | None = None,
    lora: Mapping[str, Any] | None = None,
    freeze: str | None = None,
    **arguments: Any,
) -> Any:
    """Train a model with batches of a strategy; return it, a ``SentenceTransformer``.

    `output` gets the folder ``model``, which sentence-transformers loads, ``batches.jsonl``, what
    each step drew, ``training.json``, how the model came about, and ``checkpoints``. A training
    that was killed goes on from its last checkpoint, and one that is finished is loaded, if
    everything it depends on is still the same.

    Parameters
    ----------
    model
        A name on the hub, a folder, or a ``SentenceTransformer``, which is then trained itself.
    pairs
        What to draw from; several are joined, and a batch is of one of them.
    strategy
        A name, or what `bh.parse_strategy` returns.
    loss
        Options of `HybridContrastiveLoss`, such as ``{"temperature": 0.02}``.
    dev, measures, primary
        What to judge the model on while it trains, and by which value to choose the best
        checkpoint, such as ``multi_AP``; see `HybridEvaluator`. Of pairs it is the loss, of batches
        that the strategy draws.
    patience
        Stop after so many evaluations that are no better than the best.
    max_length, encoder
        Tokens to read of a text, and further options of `SentenceTransformerEncoder`: ``preset``,
        ``query_prompt``, ``passage_prompt``, ``revision``, ``device``, ``trust_remote_code``.
    lora
        Options of peft's ``LoraConfig``, such as ``{"r": 16}``: only adapters are trained, and
        merged in the end; `output` gets them alone, too, in ``adapter``. ``{"layers": [0, 1]}``
        adapts the attention of these layers of the text tower, ``{"layers": "all"}`` of all.
    freeze
        ``"vision"`` keeps the part of a model that sees as it is.
    arguments
        Of ``SentenceTransformerTrainingArguments``, such as ``num_train_epochs``. The learning rate
        is 3e-5 and the weight decay 0.01 by default, as in the paper.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> pairs = bh.pairs_from_collection(bh.load("mlqa-r"))  # doctest: +SKIP
    >>> dev = bh.load("xquad-r", languages=["de", "en"])  # doctest: +SKIP
    >>> train("xlm-roberta-base", pairs, "hybrid", dev=dev, max_steps=300)  # doctest: +SKIP
    """
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    options, measures = dict(loss or {}), list(measures)
    if freeze is not None:
        lookup("tower to freeze", freeze, TOWERS)
    _check(arguments, options, dev, patience, primary)
    if options.get("consistency"):
        pairs = pairs.with_translations()
    found = SentenceTransformerEncoder(model, **(encoder or {}))
    adapt(found.model, None, max_length, None)
    judge: Judge | None = None
    judged: dict[str, Any] | None = None
    if isinstance(dev, ParallelPairs):
        judge = dev.with_translations() if options.get("consistency") else dev
        judged = dev_pairs_of(judge, patience)
    elif dev is not None:
        # Of checkpoints, by the very prompts that training uses: the model carries them.
        judge = HybridEvaluator(dev, measures=measures, primary=primary, name=dev.name)
        judged = dev_of(dev, measures, primary, patience)
    job = Job(found, pairs, parse_strategy(strategy), Path(output), options, lora, freeze, patience,
              judge)  # fmt: skip
    job.train(judged, DEFAULTS | arguments)
    kept = {name: value for name, value in (encoder or {}).items()
            if name in ("device", "trust_remote_code")}  # fmt: skip
    return SentenceTransformerEncoder(job.output / MODEL, **kept).model


def _check(
    arguments: Mapping[str, Any],
    loss: Mapping[str, Any],
    dev: Collection | ParallelPairs | None,
    patience: int | None,
    primary: str | None,
) -> None:
    """Raise `BadOption` for what no trainer or loss takes, or `train` itself decides."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    known = dict.fromkeys(inspect.signature(SentenceTransformerTrainingArguments).parameters)
    for name in arguments:
        if name in OURS:
            raise BadOption(f"{name} is not to be set; {OURS[name]} decides it")
        lookup("training argument", name, known)
    options = dict.fromkeys(inspect.signature(HybridContrastiveLoss).parameters)
    options.pop("model")
    for name in loss:
        lookup("option of the loss", name, options)
    alone = {
        "patience": patience is not None,
        "primary": primary is not None,
        "eval_strategy": arguments.get("eval_strategy", "no") in ("steps", "epoch"),
    }
    for name, given in alone.items():
        if given and dev is None:
            raise BadOption(
                f"{name} is for a training with dev, a collection to judge on, or pairs"
            )
    if primary is not None and isinstance(dev, ParallelPairs):
        raise BadOption(f"primary is {primary!r}; of pairs in dev there is the loss alone")
