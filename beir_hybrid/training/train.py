"""Train a model with hybrid batches, or any other strategy, in one call."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid.batches.strategies import Strategy, parse_strategy
from beir_hybrid.checks import check_finite, check_seed
from beir_hybrid.collection import Collection
from beir_hybrid.encoding.model_settings import check_max_length
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.encoding.trained_models import MODEL
from beir_hybrid.errors import BadOption, lookup
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.training.dev_set import DevSet
from beir_hybrid.training.families import TrainingFamily, find_training_family
from beir_hybrid.training.job import TrainingJob
from beir_hybrid.training.tuning import Tuning, check_tuning

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# The paper's, where it states them; for all others the trainer's defaults apply.
DEFAULT_ARGUMENTS = {"learning_rate": 3e-5, "weight_decay": 1e-2, "save_total_limit": 2}
# Arguments of the trainer that users cannot set, and what determines them.
RESERVED_ARGUMENTS = {
    "output_dir": "output",
    "batch_sampler": "strategy",
    "multi_dataset_batch_sampler": "strategy",
    "data_seed": "seed",
    "prompts": "query_prompt and passage_prompt",
    "save_only_model": "nothing, for a training that was killed goes on from its optimizer's state",
    "resume_from_checkpoint": "the folder, for a training that was killed goes on by itself",
}
# Names of options that belong into one of the arguments of `train`.
_GROUPED_ARGUMENTS = {
    "max_length": "encoder={'max_length': ...}",
    "query_prompt": "encoder={'query_prompt': ...}",
    "passage_prompt": "encoder={'passage_prompt': ...}",
    "temperature": "loss={'temperature': ...}",
    "primary": "dev=bh.DevSet(collection, primary=...)",
    "patience": "dev=bh.DevSet(collection, patience=...)",
    "measures": "dev=bh.DevSet(collection, measures=...)",
    "lora": "tuning={'lora': ...}",
    "freeze": "tuning={'freeze': ...}",
    "start_share": "tuning={'start_share': ...}",
}


def train(
    model: "str | Path | SentenceTransformer",
    pairs: ParallelPairs | Sequence[ParallelPairs],
    output: str | Path,
    *,
    strategy: Strategy | str = "hybrid",
    loss: Mapping[str, object] | None = None,
    dev: Collection | ParallelPairs | DevSet | None = None,
    encoder: Mapping[str, object] | None = None,
    tuning: Tuning | None = None,
    **arguments: object,
) -> "SentenceTransformer":
    """Train a model with batches of a strategy, and return the model.

    `output` gets the folder ``model``, which sentence-transformers loads, ``batches.jsonl``, the
    contents of each step's batches, ``training.json``, the record of the training, and
    ``checkpoints``. A killed training is resumed from its last checkpoint, and a finished one is
    loaded, if everything it depends on is unchanged. The checkpoints of a finished training are
    removed, unless `save_total_limit` says how many to keep.

    Parameters
    ----------
    model
        A name on the hub, a folder, or a ``SentenceTransformer``, which is then trained in place:
        load it again for the same call to continue the training, or to find it finished.
    pairs
        The training data; several are joined, and each batch is from one of them.
    strategy
        A name, or a `bh.parse_strategy`.
    loss
        Options of `HybridContrastiveLoss`, such as ``{"temperature": 0.02}``.
    dev
        Data to choose the best checkpoint by: a collection, which is evaluated in every setting,
        or pairs, whose loss is computed; as a `DevSet` with the value to choose by, measures and
        patience.
    encoder
        Options of `SentenceTransformerEncoder`: ``max_length``, ``preset``, ``query_prompt``,
        ``passage_prompt``, ``revision``, ``device``, ``trust_remote_code``. Texts are cut at
        ``max_length`` tokens in training, and in evaluations during training; the saved model
        reads texts of its own length as before.
    tuning
        Which weights are trained; by default all. ``{"lora": {"r": 16}}``, with options of peft's
        ``LoraConfig``, trains adapters alone and merges them in the end; `output` also gets them
        alone, in ``adapter``. In ``lora``, ``"layers": [0, 1]`` adapts the attention of these
        layers of the text tower, ``"layers": "all"`` of all. ``{"freeze": "vision"}`` keeps the
        vision tower as it is, ``{"freeze": "vocabulary"}`` the vectors of tokens, which are most
        of the weights of a small multilingual model. ``{"start_share": 0.5}`` saves the mean of the
        weights after the training and before it, which keeps more of what the model knew; its
        share of the weights before is between 0 and 1. Evaluation during training is without it.
    arguments
        ``family``: ``dense``, ``sparse``, ``late-interaction`` or ``cross-encoder``; by default
        what the model's files or its class tell, and dense for a model that is of none yet. Options
        of the loss are then those of `HybridSparseLoss`, `HybridLateLoss` or `HybridCrossLoss`. And
        those of ``SentenceTransformerTrainingArguments``, such as ``num_train_epochs``. The
        learning rate is 3e-5 and the weight decay 0.01 by default, as in the paper. A ``hub_token``
        reaches no file: it is handed over in the environment variable HF_TOKEN.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> pairs = bh.pairs_from_collection(bh.load("mlqa-r"))  # doctest: +SKIP
    >>> dev = bh.load("xquad-r", languages=["de", "en"])  # doctest: +SKIP
    >>> train("xlm-roberta-base", pairs, "hybrid", dev=dev, max_steps=300)  # doctest: +SKIP
    """
    pairs = pairs if isinstance(pairs, ParallelPairs) else join_pairs(pairs)
    loss_options, tuning = dict(loss or {}), Tuning() if tuning is None else tuning
    options = dict(encoder or {})
    family = find_training_family(model, arguments.pop("family", None), options)
    _check_loss(loss_options, family)
    check_tuning(tuning)
    dev = _parse_dev(dev, family)
    _check_arguments(arguments, has_dev=dev is not None)
    has_translations = bool(loss_options.get("consistency"))
    if has_translations:
        pairs = pairs.with_translations()
    max_length = EncoderOptions.parse(options).max_length  # raises for impossible values
    options.pop("max_length", None)
    start = family.open(model, **options)
    if max_length is not None:
        check_max_length(start.model, max_length)
    criterion = None if dev is None else dev.make_criterion(has_translations=has_translations)
    job = TrainingJob(
        start, pairs, parse_strategy(strategy), Path(output), loss_options, tuning, dev, criterion,
        max_length, family,
    )  # fmt: skip
    with _hide_token(DEFAULT_ARGUMENTS | arguments) as plain_arguments:
        job.train(plain_arguments, keep_checkpoints="save_total_limit" in arguments)
    loading = {name: options[name] for name in ("device", "trust_remote_code") if name in options}
    return family.open(job.output / MODEL, **loading).model


@contextmanager
def _hide_token(arguments: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Give arguments without the token for the hub, which is in the environment meanwhile.

    The trainer saves its arguments beside every checkpoint, and the hub's client reads HF_TOKEN.
    """
    arguments = dict(arguments)
    token, previous = arguments.pop("hub_token", None), os.environ.get("HF_TOKEN")
    if token is None:
        yield arguments
        return
    os.environ["HF_TOKEN"] = str(token)
    try:
        yield arguments
    finally:
        if previous is None:
            del os.environ["HF_TOKEN"]
        else:
            os.environ["HF_TOKEN"] = previous


def _parse_dev(dev: object, family: TrainingFamily) -> DevSet | None:
    """Return a development set; raise `BadOption` for a collection for a cross-encoder."""
    dev = DevSet(dev) if isinstance(dev, Collection | ParallelPairs) else dev
    if not isinstance(dev, DevSet | None):
        raise BadOption(
            f"dev is {dev!r:.80}; it must be a collection (as bh.load returns), pairs or a DevSet"
        )
    if dev and family.name == "cross-encoder" and isinstance(dev.data, Collection):
        raise BadOption(
            "a cross-encoder reranks what others retrieve: choose its checkpoint by pairs, "
            "dev=bh.read_pairs(...) or --dev-pairs"
        )
    return dev


def _check_loss(loss: Mapping[str, object], family: TrainingFamily) -> None:
    """Raise `UnknownName` for an option that the loss does not have."""
    loss_options = dict.fromkeys(inspect.signature(family.loss).parameters)
    loss_options.pop("model")
    for name in loss:
        lookup("option of the loss", name, loss_options)


def _check_arguments(arguments: Mapping[str, object], *, has_dev: bool) -> None:
    """Raise `BadOption` for unknown arguments of the trainer, and for those that `train` sets."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    names = dict.fromkeys(inspect.signature(SentenceTransformerTrainingArguments).parameters)
    for name in arguments:
        if name in RESERVED_ARGUMENTS:
            raise BadOption(f"{name} cannot be set; {RESERVED_ARGUMENTS[name]} determines it")
        if name in _GROUPED_ARGUMENTS:
            raise BadOption(f"{name} is no argument of train; use {_GROUPED_ARGUMENTS[name]}")
        lookup("training argument", name, names)
    check_finite(**arguments)
    check_seed(seed=arguments.get("seed"))
    if has_dev:
        return
    unused = ["eval_strategy"] * (arguments.get("eval_strategy", "no") in ("steps", "epoch"))
    unused += ["eval_steps"] * ("eval_steps" in arguments)
    if unused:
        raise BadOption(
            f"{unused[0]} is for a training with dev, a collection or pairs to evaluate on"
        )
