"""The command that evaluates a model with several prompts, dimensions and precisions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    Dataset,
    Engine,
    LoadOptions,
    Measures,
    Model,
    Settings,
    parse_measure_names,
    set_offline,
    split_commas,
)
from beir_hybrid.cli.printing import Json, echo, print_json, print_table, to_json
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption
from beir_hybrid.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ir_measures import Measure

    from beir_hybrid.collection.setting import KindName
    from beir_hybrid.results.results import Results


@dataclass(frozen=True)
class RowOptions:
    """The options in which the rows differ."""

    query_prompt: Annotated[
        list[str] | None,
        typer.Option(help="A text before each query; may be repeated, for a row each."),
    ] = None
    dimensions: Annotated[
        list[str] | None,
        typer.Option(
            help="Dimensions to keep, with commas between (Matryoshka models).", metavar="NUMBERS"
        ),
    ] = None
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            help="float32, float16, int8, binary, binary+rescoring, binary+int8, binary+float32, "
            "with commas between.",
            metavar="NAMES",
        ),
    ] = None
    candidates: Annotated[
        int | None,
        typer.Option(
            help="How many passages binary+int8 and +float32 put in order; 100 by default.",
            metavar="N",
        ),
    ] = None

    def make_arguments(self) -> dict[str, Any]:
        """Return arguments of `bh.sweep`."""
        return {
            "query_prompts": self.query_prompt or [],
            "dimensions": [_parse_dimension(text) for text in split_commas(self.dimensions) or []],
            "precisions": split_commas(self.precisions) or [],
            "candidates": self.candidates,
        }


@dataclass(frozen=True)
class EvaluationOptions:
    """How each row is evaluated."""

    settings: Settings = None
    measures: Measures = None
    name: Annotated[str, typer.Option(help="What the rows' names begin with.")] = ""
    engine: Engine = "local"

    def make_arguments(self) -> dict[str, Any]:
        """Return arguments of `bh.sweep`."""
        return {
            "settings": " ".join(self.settings or ()) or None,
            "name": self.name,
            "engine": self.engine,
            **parse_measure_names(self.measures),
        }


@dataclass(frozen=True)
class OutputOptions:
    """Where rows go."""

    output: Annotated[
        Path | None,
        typer.Option(help="The folder for the results, one in it for each row.", metavar="DIR"),
    ] = None
    as_json: Json = False

    def check(self) -> None:
        """Raise an error, before all work, if the results cannot be written."""
        if self.output is not None:
            check_writable(self.output / "results")

    def show(self, results: "Mapping[str, Results]") -> None:
        """Print rows, and save them if there is a folder: each that no other results prevent."""
        from beir_hybrid.text import make_slugs

        if self.as_json:
            rows = results.values()
            print_json([to_json(row) | {"index_bytes": _count_bytes(row)} for row in rows])
        else:
            _print_rows(results)
        if self.output is None:
            return
        refusals: list[BadOption] = []
        for slug, row in zip(make_slugs(results), results.values(), strict=True):
            try:
                row.save(self.output / slug)
            except BadOption as error:
                refusals.append(error)
        if refusals:
            saved = f"the other {len(results) - len(refusals)} of {len(results)} rows are saved"
            raise BadOption(f"{refusals[0]}; {saved}")
        echo(f"saved in {self.output}")


def sweep(
    model: Model,
    dataset: Dataset,
    *,
    load: LoadOptions,
    rows: RowOptions,
    evaluation: EvaluationOptions,
    output: OutputOptions,
    encoder: Annotated[
        EncoderOptions, Group("The model", without=("query_prompt", "truncate_dim"))
    ],
) -> None:
    """Evaluate a model with several prompts, dimensions and precisions, a row for each.

    Passages are encoded once, and queries once a prompt.

    Examples
    --------
    `beir-hybrid sweep my-model --dataset xquad-r --dimensions 64,128,384 --precisions
    float32,int8,binary`

    `beir-hybrid sweep my-model --dataset xquad-r --query-prompt "query: " --query-prompt ""`
    """
    from beir_hybrid.evaluation.sweep import sweep as sweep_rows

    output.check()
    set_offline(load.offline)
    output.show(
        sweep_rows(
            model,
            load.load(dataset),
            **rows.make_arguments(),
            **evaluation.make_arguments(),
            **list_changes(encoder),
        )
    )


def _parse_dimension(text: str) -> int:
    if not text.isdecimal():
        raise BadOption(f"--dimensions has {text!r:.40}; it must be whole numbers, such as 64,128")
    return int(text)


def _count_bytes(results: "Results") -> int:
    return results.provenance.model.index_bytes or 0


def _print_rows(results: "Mapping[str, Results]") -> None:
    """Print the bytes and the means of each row: the first measure by kind, and language bias."""
    from beir_hybrid.results.render import format_value

    columns = list(_list_columns(next(iter(results.values()))))
    headings = ["system", "index bytes", *(f"{kind} {measure}" for measure, kind in columns)]
    lines = []
    for name, row in results.items():
        summary = row.summary()
        means = [summary[kind][measure].mean for measure, kind in columns]
        lines.append([name, f"{_count_bytes(row):,}", *map(format_value, means)])
    print_table(headings, lines)


def _list_columns(results: "Results") -> "Iterator[tuple[Measure, KindName]]":
    """Yield the measures and kinds of settings to show: those with values, in their order."""
    from beir_hybrid.measures.base import BiasMeasure

    first = next((m for m in results.measures if not isinstance(m, BiasMeasure)), None)
    for measure in results.measures:
        if measure == first or isinstance(measure, BiasMeasure):
            for kind, row in results.summary().items():
                if measure in row:
                    yield measure, kind
