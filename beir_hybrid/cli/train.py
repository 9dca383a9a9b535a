"""The command that trains a model."""
# ruff: noqa: ARG001 - typer wants all options named, and they are read from its context

from pathlib import Path
from typing import Annotated, Any

import typer

from beir_hybrid.cli.shared import Languages, Offline, Options, dataset_names
from beir_hybrid.cli.trainer_arguments import ARGUMENTS, EXTRA, config_file, trainer_arguments
from beir_hybrid.cli.training_inputs import needed, options_of, pairs_of, strategy_of


def _panel(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


_LOSS, _DEV, _MODEL, _SWITCH = "The loss", "Judging on the way", "The model", "Code switching"
Model = Annotated[
    str, typer.Argument(help="A name on the hub, or a folder.", metavar="MODEL", show_default=False)
]
Train = Annotated[
    list[str] | None,
    typer.Option(
        help="A dataset such as mlqa-r, a JSONL or Parquet file, a folder with captions.jsonl, or "
        "a dataset of the hub; may be repeated.",
        metavar="NAME",
        autocompletion=dataset_names,
    ),
]
Bitext = Annotated[
    list[str] | None,
    typer.Option(
        help="Files of parallel lines, in two languages or more: a line answers the same line of "
        "another file. For x-y: a pair in one language is of a text with itself. May be repeated.",
        metavar="LANG=FILE,LANG=FILE",
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="The folder for all that is made.", metavar="DIR")
]
HOW = (
    "x-x-mono, x-y, x-y-batch, x-x, en-en, or hybrid, with options as in hybrid:alpha=0.4; of "
    "pictures x-image, x-image-rows or hybrid-image"
)


def strategy_names() -> list[str]:
    """Return what a shell may complete."""
    from beir_hybrid.batches.strategies import STRATEGIES

    return list(STRATEGIES)


Strategy = Annotated[
    str, typer.Option(help=f"{HOW}.", metavar="NAME", autocompletion=strategy_names)
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="A YAML file of options and trainer arguments; the line comes first.",
        metavar="FILE",
        is_eager=True,
        callback=config_file,
    ),
]
Negatives = Annotated[int, typer.Option(help="Hard negatives a row, of files that have them.")]
Language = Annotated[str | None, typer.Option(help="The language of files with plain texts.")]


def train(
    context: typer.Context,
    model: Model = "",
    train: Train = None,
    bitext: Bitext = None,
    output: Output = None,
    strategy: Strategy = "hybrid",
    config: Config = None,
    languages: Languages = None,
    option: Options = None,
    negatives: Negatives = 0,
    language: Language = None,
    switch: Annotated[
        float | None, _panel(_SWITCH, "The probability that a word is translated.")
    ] = None,
    lexicon: Annotated[
        Path | None, _panel(_SWITCH, 'Lines such as {"de": "Haus", "en": "house"}.', metavar="FILE")
    ] = None,
    switch_on: Annotated[
        str | None, _panel(_SWITCH, "queries, passages or both, the default.")
    ] = None,
    temperature: Annotated[float, _panel(_LOSS, "What similarities are divided by.")] = 0.05,
    symmetric: Annotated[
        bool, _panel(_LOSS, "Also from passages to questions.", "--symmetric")
    ] = False,
    consistency: Annotated[
        float, _panel(_LOSS, "The weight of a term that draws translations together.")
    ] = 0.0,
    mask: Annotated[bool, _panel(_LOSS, "Keep other answers from the negatives.")] = True,
    mini_batch_size: Annotated[
        int | None, _panel(_LOSS, "Embed so many rows at a time, in less memory (GradCache).")
    ] = None,
    gather: Annotated[
        bool, _panel(_LOSS, "Passages of all processes are negatives.", "--gather")
    ] = False,
    dev: Annotated[
        str | None,
        _panel(
            _DEV,
            "A dataset, or a file as docs/jsonl.md has it, to choose the best checkpoint by.",
            metavar="NAME",
        ),
    ] = None,
    dev_pairs: Annotated[
        str | None,
        _panel(_DEV, "Pairs, named as for --train: choose by their loss.", metavar="NAME"),
    ] = None,
    dev_languages: Annotated[
        str | None, _panel(_DEV, "Its languages, with commas between.")
    ] = None,
    primary: Annotated[
        str | None, _panel(_DEV, "The value to choose by, such as multi_AP.")
    ] = None,
    patience: Annotated[
        int | None, _panel(_DEV, "Stop after so many evaluations that are no better.")
    ] = None,
    max_length: Annotated[int | None, _panel(_MODEL, "Tokens that are read of a text.")] = None,
    preset: Annotated[str | None, _panel(_MODEL, "Prompts by name, such as e5 or hybrid.")] = None,
    query_prompt: Annotated[str | None, _panel(_MODEL, "What goes before a query.")] = None,
    passage_prompt: Annotated[str | None, _panel(_MODEL, "What goes before a passage.")] = None,
    revision: Annotated[str | None, _panel(_MODEL, "A commit of the model on the hub.")] = None,
    trust_remote_code: Annotated[
        bool, _panel(_MODEL, "Run code the model brings.", "--trust-remote-code")
    ] = False,
    lora: Annotated[
        list[str] | None,
        _panel(
            _MODEL,
            "Train adapters alone: an option of peft's LoraConfig, such as r=16, or layers=[0,1] "
            "of the text tower; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    freeze: Annotated[
        str | None, _panel(_MODEL, "vision: keep the part that sees as it is.", metavar="TOWER")
    ] = None,
    offline: Offline = False,
) -> None:
    """Train a model with batches that are wholly in one language, or wholly cross-lingual.

    MODEL, `--output` and `--train` or `--bitext` are needed, on the line or in `--config`.
    All arguments of sentence-transformers' trainer are options too, such as `--max-steps 500`,
    `--per-device-train-batch-size 64`, `--learning-rate 2e-5`, `--eval-strategy steps`, `--bf16`.
    A training that was killed goes on. `torchrun -m beir_hybrid train ...` and `accelerate launch`
    use several processes.

    Examples
    --------
    `beir-hybrid train xlm-roberta-base --train mlqa-r --dev xquad-r --output hybrid`

    `beir-hybrid train my-model --train pairs.jsonl --strategy hybrid:alpha=0.4 --output out`

    `beir-hybrid train my-model --bitext de=news.de,en=news.en --strategy x-y --output out`
    """
    from beir_hybrid.training.train import train as run

    given = context.params
    needed(given, "model", "output")
    pairs, options = pairs_of(given), options_of(given)
    arguments = trainer_arguments(context.meta.get(ARGUMENTS, {}), context.args, OURS)
    run(
        model, pairs, given["output"], strategy=strategy_of(strategy, given), **options, **arguments
    )
    typer.echo(f"saved in {given['output'] / 'model'}")


_app = typer.Typer(pretty_exceptions_enable=False)
_app.command(context_settings=EXTRA)(train)
TRAIN = typer.main.get_command(_app)
OURS = {str(param.name) for param in TRAIN.params}
