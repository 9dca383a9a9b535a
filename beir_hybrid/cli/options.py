"""Arguments and options that several commands have: datasets, settings, measures and results."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.printing import Json, echo, print_results
from beir_hybrid.errors import BadOption
from beir_hybrid.files import check_writable, is_file
from beir_hybrid.text import split_words

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.results.results import Results


def complete_dataset() -> list[str]:
    """Return the datasets' names, for the shell's completion."""
    from beir_hybrid.sources import datasets

    return list(datasets())


_DATASET_HELP = "A dataset's name, such as xquad-r."
_TRAINED_HELP = "A name on the Hugging Face Hub, or a folder."
_MODEL_HELP = "A name on the Hugging Face Hub, a folder, or openai:MODEL@URL."
_DATASET = typer.Option(help=_DATASET_HELP, metavar="NAME", autocompletion=complete_dataset)
_MODEL = typer.Argument(help=_MODEL_HELP, metavar="MODEL")
_DATASET_HELP = "A dataset's name, such as xquad-r; or a file or folder of your own."
DatasetName = Annotated[
    str, typer.Argument(help=_DATASET_HELP, metavar="NAME", autocompletion=complete_dataset)
]
Dataset = Annotated[str, _DATASET]
OptionalDataset = Annotated[str | None, _DATASET]
Model = Annotated[str, _MODEL]
OptionalModel = Annotated[str | None, _MODEL]
TrainedModel = Annotated[
    str, typer.Argument(help=_TRAINED_HELP, metavar="MODEL", show_default=False)
]
Engine = Annotated[
    str, typer.Option(help="Where to compute: local, or ray, on a Ray cluster.", metavar="NAME")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        help="Kinds of settings, with commas between: mono, cross, multi, one-target; with images "
        "also text-image, image-text, image-pool, mixed. Default: all that the collection has, "
        "except one-target.",
        metavar="KINDS",
    ),
]
Measures = Annotated[
    list[str] | None,
    typer.Option(
        help="ir-measures' names or trec_eval's, such as nDCG@10 or ndcg_cut_10, with spaces or "
        "commas between. Default: AP, recall and the measures of language bias.",
        metavar="NAMES",
    ),
]


@dataclass(frozen=True)
class LoadOptions:
    """How a dataset is loaded."""

    languages: Annotated[
        list[str] | None,
        typer.Option(
            help="Languages to load, with commas between or repeated; all by default.",
            metavar="CODES",
        ),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", metavar="KEY=VALUE", help="An option of the dataset; may be repeated."
        ),
    ] = None
    offline: Annotated[
        bool, typer.Option("--offline", help="Use mirror and cache only, never the network.")
    ] = False

    def load(self, name: str) -> "Collection":
        """Load a dataset."""
        return load_dataset(name, split_commas(self.languages), self.option, offline=self.offline)


@dataclass(frozen=True)
class ResultsOptions:
    """Where results go."""

    output: Annotated[
        Path | None, typer.Option(help="The folder for the results.", metavar="DIR")
    ] = None
    runs: Annotated[
        bool,
        typer.Option(
            "--runs", help="Also write each setting's run into DIR/runs, replacing earlier ones."
        ),
    ] = False
    as_json: Json = False

    @property
    def runs_folder(self) -> Path | None:
        """The folder for runs, if they are to be written."""
        return self.output / "runs" if self.output and self.runs else None

    def check(self, systems: Sequence[str]) -> None:
        """Raise an error, before all work, if the results of systems cannot be written.

        Parameters
        ----------
        systems
            Their names: models, or the files and folders that stand for one.
        """
        if self.runs and self.output is None:
            raise BadOption("--runs takes --output, the folder that runs go to")
        if self.output is None:
            return
        check_writable(self.output / "results")
        # A leaderboard shows no results below others.
        if len(systems) > 1 and self.has_results:
            raise BadOption(
                f"{self.output} holds results itself, and several systems get folders in it; name "
                "another folder"
            )
        if len(systems) == 1 and not self.has_results and (folder := self._find_inner_results()):
            from beir_hybrid.evaluation.vectors import shorten_name
            from beir_hybrid.text import make_slugs

            (slug,) = make_slugs([shorten_name(systems[0])])
            raise BadOption(
                f"{self.output} holds the folder of results {folder.name}; name another folder, "
                f"for example {self.output / slug}"
            )

    def _find_inner_results(self) -> Path | None:
        """Return a folder of results that lies in the folder, if there is one."""
        from beir_hybrid.results.storage import is_results_folder

        folders = sorted(self.output.iterdir()) if self.output and self.output.is_dir() else []
        return next(filter(is_results_folder, folders), None)

    @property
    def has_results(self) -> bool:
        """Whether the folder holds files already, which those of new results would replace."""
        from beir_hybrid.results.storage import PER_QUERY, RESULTS, TIMING

        folder = self.output
        names = (RESULTS, PER_QUERY, TIMING)
        return folder is not None and any((folder / name).exists() for name in names)

    def check_system(
        self, name: str | None, facts: Mapping[str, object], data: "Collection"
    ) -> None:
        """Raise an error, before all work, if the folder's results may not be replaced."""
        if self.output is not None:
            from beir_hybrid.results.provenance import describe_collection
            from beir_hybrid.results.replacement import check_replaceable

            check_replaceable(self.output, name, facts, describe_collection(data))

    def show(self, results: "Results") -> None:
        """Save results if there is a folder, and print them.

        A reader such as ``head`` may end the program while it prints.
        """
        if self.output is not None:
            results.save(self.output)
        print_results(results, as_json=self.as_json)
        if self.output is not None:
            echo(f"saved in {self.output}")


def load_dataset(
    name: str, languages: list[str] | None, option: list[str] | None, *, offline: bool
) -> "Collection":
    """Load a dataset by name, or a file or folder of the user; ``KEY=VALUE`` texts are options."""
    from beir_hybrid.sources import datasets, find_dataset

    set_offline(offline)
    options: dict[str, str] = {}
    if name not in datasets() and (layout := _find_layout(Path(name))):
        name, options = layout, {"path": name}
    for text in option or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadOption(f"--option takes KEY=VALUE, not {text!r}")
        options[key.replace("-", "_")] = value
    return find_dataset(name)(languages, **options)


def _find_layout(path: Path) -> str | None:
    """Return the dataset that reads a file or folder: JSON lines, BEIR's layout, or captions."""
    if is_file(path):
        return "jsonl"
    layouts = {"corpus.jsonl": "beir-folder", "captions.jsonl": "jsonl-image-text"}
    return next((layout for file, layout in layouts.items() if is_file(path / file)), None)


def check_dataset(name: str) -> None:
    """Raise `UnknownName`, before all work, if there is no such dataset, file or folder."""
    from beir_hybrid.sources import datasets, find_dataset

    if name not in datasets() and not _find_layout(Path(name)):
        find_dataset(name)


def check_choices(settings: Sequence[str] | None, calibration: str | None = None) -> None:
    """Raise an error for an unknown kind of settings or calibration, before torch is imported."""
    from beir_hybrid.calibration import as_calibration
    from beir_hybrid.collection.setting import parse_kinds

    if settings is not None:
        parse_kinds(split_words(" ".join(settings)))
    as_calibration(calibration)


def check_model(name: str) -> None:
    """Raise an error, before all work, if there is no such folder; the hub is not asked."""
    from beir_hybrid.encoding.model_files import check_model_name

    if ":" not in name:  # neither a folder nor on the hub, such as mteb:NAME
        check_model_name(name)


def set_offline(offline: bool) -> None:
    """Forbid the network for the rest of the process if `offline`."""
    if offline:
        os.environ["BEIR_HYBRID_OFFLINE"] = "1"


def split_commas(texts: list[str] | None) -> list[str] | None:
    """Return the words between commas of an option that may be repeated, or None for None.

    >>> split_commas(["en,de", "zh"])
    ['en', 'de', 'zh']
    """
    if texts is None:
        return None
    words = [word.strip() for text in texts for word in text.split(",")]
    return list(dict.fromkeys(word for word in words if word))


def parse_measure_names(names: list[str] | None) -> dict[str, Any]:
    """Return the argument ``measures`` of a function, or nothing for its default."""
    if names is None:
        return {}
    from beir_hybrid.measures.parsing import parse_measures

    return {"measures": parse_measures(" ".join(names))}
