"""The command that trains a model."""

from typing import Annotated

import typer

from beir_hybrid.cli.options import TrainedModel, check_model
from beir_hybrid.cli.printing import echo
from beir_hybrid.cli.trainer_arguments import Config, parse_trainer_arguments
from beir_hybrid.cli.training_options import (
    OutputFolder,
    TrainingOptions,
    check_needed,
)
from beir_hybrid.errors import BadOption
from beir_hybrid.progress import show_clock

STRATEGY_HELP = (
    "A strategy, such as hybrid (with options: hybrid:alpha=0.4), x-x-mono, x-y or, for images, "
    "hybrid-image; docs/train.md lists them"
)


def complete_strategy() -> list[str]:
    """Return the strategies' names, for the shell's completion."""
    from beir_hybrid.batches.strategies import STRATEGIES

    return list(STRATEGIES)


StrategyName = Annotated[
    str,
    typer.Option(help=f"{STRATEGY_HELP}.", metavar="NAME", autocompletion=complete_strategy),
]


def train(
    *,
    context: typer.Context,
    model: TrainedModel = "",
    output: OutputFolder = None,
    strategy: StrategyName = "hybrid",
    config: Config = None,  # noqa: ARG001 - its callback reads the file
    training: TrainingOptions,
) -> None:
    """Train a model with batches that are each either monolingual or cross-lingual.

    MODEL, `--output` and `--train` or `--bitext` are required, on the line or in `--config`.
    All arguments of sentence-transformers' trainer are options too, such as `--max-steps 500`,
    `--per-device-train-batch-size 64`, `--learning-rate 2e-5`, `--eval-strategy steps`, `--bf16`.
    A killed training is resumed. `torchrun -m beir_hybrid train ...` and `accelerate launch` use
    several processes.

    Examples
    --------
    `beir-hybrid train xlm-roberta-base --train mlqa-r --dev xquad-r --output hybrid`

    `beir-hybrid train my-model --train pairs.jsonl --strategy hybrid:alpha=0.4 --output out`

    `beir-hybrid train my-model --bitext de=news.de,en=news.en --strategy x-y --output out`
    """
    check_needed(model, {})
    if output is None:
        raise BadOption("--output is needed")
    check_model(model)
    training.check()
    from beir_hybrid.batches.strategies import parse_strategy

    batch_strategy = parse_strategy(strategy, code_switch=training.switch.make_code_switch())
    with show_clock("loading libraries"):
        from beir_hybrid.encoding.trained_models import MODEL
        from beir_hybrid.training.train import train as train_model

    pairs, options = training.read_pairs(), training.make_arguments(model)
    arguments = parse_trainer_arguments(context)
    train_model(
        model,
        pairs,
        output,
        strategy=batch_strategy,
        **options,
        **arguments,
    )
    echo(f"saved in {output / MODEL}")
