"""The command that trains a model with several strategies, and compares the results."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from beir_hybrid.cli.options import (
    Settings,
    TrainedModel,
    check_choices,
    check_dataset,
    check_model,
    complete_dataset,
)
from beir_hybrid.cli.printing import Json, echo, print_json, print_table, to_json
from beir_hybrid.cli.train import STRATEGY_HELP, complete_strategy
from beir_hybrid.cli.trainer_arguments import Config, parse_trainer_arguments
from beir_hybrid.cli.training_data import load_test_collection
from beir_hybrid.cli.training_options import (
    OutputFolder,
    TrainingOptions,
    check_needed,
)
from beir_hybrid.errors import BadOption
from beir_hybrid.progress import show_clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ir_measures import Measure

    from beir_hybrid.collection.setting import KindName
    from beir_hybrid.pairs.code_switching import CodeSwitch
    from beir_hybrid.training.ablation import Trial
    from beir_hybrid.training.variants import Variant


@dataclass(frozen=True)
class TestOptions:
    """The collections that trained models are evaluated on."""

    test: Annotated[
        list[str] | None,
        typer.Option(
            help="A dataset, or a JSONL file with a line for each passage and query "
            '({"passage": ID, "text": {LANG: TEXT}}; {"query": ID, "text": {LANG: TEXT}, '
            '"relevant": [ID]}), to evaluate on; may be repeated.',
            metavar="NAME",
            autocompletion=complete_dataset,
        ),
    ] = None
    test_languages: Annotated[
        list[str] | None,
        typer.Option(
            help="Languages to evaluate on, with commas between or repeated; all by default.",
            metavar="CODES",
        ),
    ] = None
    settings: Settings = None


@dataclass(frozen=True)
class RowOptions:
    """The strategies and seeds that are compared."""

    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            help=f"{STRATEGY_HELP}; with suffixes +adapters (one for each language), +frozen (the "
            "vision tower), +layers=0,1 (LoRA on these), +switch (only such rows are code-switched)"
            " and +tip (a cache of the training images); repeated.",
            metavar="NAME",
            autocompletion=complete_strategy,
        ),
    ] = None
    seed: Annotated[
        list[int] | None,
        typer.Option("--seed", help="A seed; may be repeated. By default 1, 2 and 3."),
    ] = None


def ablate(
    *,
    context: typer.Context,
    model: TrainedModel = "",
    output: OutputFolder = None,
    rows: RowOptions,
    test: TestOptions,
    config: Config = None,  # noqa: ARG001 - its callback reads the file
    as_json: Json = False,
    training: TrainingOptions,
) -> None:
    """Train a model with several strategies and seeds, all else equal, and evaluate each.

    MODEL, `--train` or `--bitext`, `--test`, `--strategy`, `--max-steps` and `--output` are needed,
    here or in `--config`. All arguments of the trainer are options too.
    Finished trainings and results are reused: a killed run can be resumed.

    Examples
    --------
    `beir-hybrid ablate my-model --train mlqa-r --test xquad-r --strategy x-x-mono --strategy x-y
    --strategy hybrid --max-steps 300 --output ablation`

    `beir-hybrid ablate clip --train captions --test held-out --strategy x-image --strategy
    x-image+tip --strategy hybrid-image+layers=0 --max-steps 300 --output ablation`
    """
    check_needed(model, {"test": test.test, "strategy": rows.strategy})
    if output is None:
        raise BadOption("--output is needed")
    check_choices(test.settings)
    _check_names(model, training, test.test or ())
    with show_clock("loading libraries"):
        from beir_hybrid.extras.ablation import ablate as run_ablation

    options = training.make_arguments(model)
    arguments = parse_trainer_arguments(context)
    _check_arguments(model, options["family"], arguments)
    trials = run_ablation(
        model,
        training.read_pairs(),
        output,
        strategies=_parse_rows(rows.strategy or [], training.switch.make_code_switch()),
        seeds=rows.seed or (1, 2, 3),
        test=[
            load_test_collection(name, test.test_languages, offline=training.load.offline)
            for name in test.test or []
        ],
        settings=" ".join(test.settings or ()) or None,
        **options,
        **arguments,
    )
    _print_trials(trials, as_json=as_json)
    echo(f"saved in {output}")


def _check_arguments(model: str, family: str, arguments: "Mapping[str, object]") -> None:
    """Raise `BadOption` for a training whose results cannot be compared, or not be evaluated."""
    if "max_steps" not in arguments:
        raise BadOption("ablate needs --max-steps: epochs of strategies differ in length")
    if family == "cross-encoder":
        raise BadOption(f"{model} is a cross-encoder, which ranks no collection by itself")


def _check_names(model: str, training: TrainingOptions, tests: "Sequence[str]") -> None:
    """Raise an error, before all work, for a model or data that are nowhere."""
    check_model(model)
    training.check()
    for name in tests:
        check_dataset(name)


def _parse_rows(names: list[str], code_switch: "CodeSwitch | None") -> "dict[str, Variant]":
    """Return the variants of names; if a name has +switch, only such rows are code-switched."""
    from beir_hybrid.training.variants import list_suffixes, parse_variant

    has_marks = any("switch" in list_suffixes(name) for name in names)
    return {
        name: parse_variant(
            name,
            code_switch=code_switch if "switch" in list_suffixes(name) or not has_marks else None,
        )
        for name in names
    }


def _print_trials(trials: "Sequence[Trial]", *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"strategy": trial.strategy, "seed": trial.seed, **to_json(trial.results)}
                for trial in trials
            ]
        )
    else:
        _print_table(trials)


def _print_table(trials: "Sequence[Trial]") -> None:
    from ir_measures import AP, R

    from beir_hybrid.measures.bias.language_disparity import LanguageDisparity
    from beir_hybrid.measures.bias.rank_distance import RankDistance
    from beir_hybrid.training.ablation import tabulate_trials

    columns: dict[str, tuple[Measure, KindName]] = {
        "mono AP": (AP, "mono"), "cross AP": (AP, "cross"), "multi AP": (AP, "multi"),
        "rank distance": (RankDistance, "multi"),
        "text-image AP": (AP, "text-image"), "text-image R@1": (R @ 1, "text-image"),
        "disparity": (LanguageDisparity, "text-image"),
        "image-text AP": (AP, "image-text"), "image-pool AP": (AP, "image-pool"),
        "mixed AP": (AP, "mixed"),
    }  # fmt: skip
    kinds = {setting.kind for trial in trials for setting in trial.results.settings}
    columns = {
        heading: (measure, kind) for heading, (measure, kind) in columns.items() if kind in kinds
    }
    print_table(["collection", "strategy", *columns], list(tabulate_trials(trials, columns)))
