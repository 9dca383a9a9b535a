"""The command that trains a model with several strategies side by side, and judges each."""
# ruff: noqa: ARG001 - typer wants all options named, and they are read from its context

from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.evaluate import Settings
from beir_hybrid.cli.shared import (
    Json,
    dataset_names,
    print_json,
    print_table,
    record,
)
from beir_hybrid.cli.train import (
    HOW,
    OURS,
    TRAIN,
    Config,
    Model,
    Output,
    Train,
    strategy_names,
)
from beir_hybrid.cli.trainer_arguments import ARGUMENTS, trainer_arguments
from beir_hybrid.cli.training_inputs import collection_of, needed, options_of, pairs_of, switch_of
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.training.ablation import Trial

Test = Annotated[
    list[str] | None,
    typer.Option(
        help="A dataset, or a file as docs/jsonl.md has it, to judge on; may be repeated.",
        metavar="NAME",
        autocompletion=dataset_names,
    ),
]
TestLanguages = Annotated[
    str | None, typer.Option(help="The languages to judge on, with commas between; all by default.")
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        help=f"{HOW}; and behind it any of +adapters (one for each language), +frozen (the part "
        "that sees), +layers=0,1 (LoRA of these), +switch (this row alone is code-switched) and "
        "+tip (a cache of the training pictures); repeated.",
        metavar="NAME",
        autocompletion=strategy_names,
    ),
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", help="A seed; may be repeated. By default 1, 2 and 3."),
]


def ablate(
    context: typer.Context,
    model: Model = "",
    train: Train = None,
    test: Test = None,
    test_languages: TestLanguages = None,
    output: Output = None,
    strategy: Strategies = None,
    seed: Seeds = None,
    settings: Settings = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Train a model with several strategies and seeds, alike in all else, and judge each.

    All options of `beir-hybrid train` and of the trainer are options too. MODEL, `--train` or
    `--bitext`, `--test`, `--strategy`, `--max-steps` and `--output` are needed, here or in
    `--config`.
    What is there is not made again: a run that was killed goes on.

    Examples
    --------
    `beir-hybrid ablate my-model --train mlqa-r --test xquad-r --strategy x-x-mono --strategy x-y
    --strategy hybrid --max-steps 300 --output ablation`

    `beir-hybrid ablate clip --train captions --test held-out --strategy x-image --strategy
    x-image+tip --strategy hybrid-image+layers=0 --max-steps 300 --output ablation`
    """
    from beir_hybrid.extras.ablation import ablate as run

    given = context.params
    needed(given, "model", "test", "output", "strategy")
    more = context.meta.get(ARGUMENTS, {})
    # What is no option of this command is one of `train`, or else the trainer's.
    defaults = {name: value for name, value in more.items() if name in OURS}
    inner = TRAIN.make_context("train", [model, *context.args], default_map=defaults)
    options = options_of(inner.params)
    rest = {name: value for name, value in more.items() if name not in OURS}
    arguments = trainer_arguments(rest, inner.args, OURS)
    if "max_steps" not in arguments:
        raise BadOption("ablate needs --max-steps: epochs of strategies differ in length")
    common = inner.params | {"train": given["train"]}
    tests = [
        collection_of(name, given["test_languages"], common["offline"]) for name in given["test"]
    ]
    trials = run(
        model,
        pairs_of(common),
        given["output"],
        strategies=_rows(given["strategy"], switch_of(common)),
        seeds=given["seed"] or (1, 2, 3),
        test=tests,
        settings=" ".join(given["settings"] or ()) or None,
        **options,
        **arguments,
    )
    if as_json:
        print_json(
            [{"strategy": it.strategy, "seed": it.seed, **record(it.results)} for it in trials]
        )
    else:
        _print(trials)
    typer.echo(f"saved in {given['output']}")


def _rows(names: list[str], switch: Any) -> dict[str, Any]:
    """Return what each name stands for; where one has +switch, only such are code-switched."""
    from beir_hybrid.training.variants import list_suffixes, parse_variant

    only = any("switch" in list_suffixes(name) for name in names)
    return {
        name: parse_variant(
            name, code_switch=switch if not only or "switch" in list_suffixes(name) else None
        )
        for name in names
    }


def _print(trials: "list[Trial]") -> None:
    from ir_measures import AP, R

    from beir_hybrid.measures.language_disparity import LanguageDisparity
    from beir_hybrid.measures.rank_distance import RankDistance
    from beir_hybrid.training.ablation import tabulate_trials

    columns: Any = {
        "mono AP": (AP, "mono"), "cross AP": (AP, "cross"), "multi AP": (AP, "multi"),
        "rank distance": (RankDistance, "multi"),
        "text-image AP": (AP, "text-image"), "text-image R@1": (R @ 1, "text-image"),
        "disparity": (LanguageDisparity, "text-image"),
        "image-text AP": (AP, "image-text"), "image-pool AP": (AP, "image-pool"),
        "mixed AP": (AP, "mixed"),
    }  # fmt: skip
    there = {one.kind for trial in trials for one in trial.results.settings}
    shown = {name: of for name, of in columns.items() if of[1] in there}
    print_table(["collection", "strategy", *shown], list(tabulate_trials(trials, shown)))
