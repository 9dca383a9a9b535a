"""Options of the commands that train, and the arguments of `bh.train` that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    LoadOptions,
    complete_dataset,
    load_dataset,
    set_offline,
    split_commas,
)
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.pairs.code_switching import CodeSwitch
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs
    from beir_hybrid.training.dev_set import DevSet

# Options of the encoder that a training has no use for, or that its trainer sets.
_NO_TRAINING_OPTIONS = ("dtype", "normalize", "truncate_dim", "batch_size", "device")

TrainedModel = Annotated[
    str, typer.Argument(help="A name on the hub, or a folder.", metavar="MODEL", show_default=False)
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", help="The folder for everything.", metavar="DIR")
]


@dataclass(frozen=True)
class DataOptions:
    """The training data."""

    train: Annotated[
        list[str] | None,
        typer.Option(
            help="A dataset such as mlqa-r, a JSONL or Parquet file, a folder with captions.jsonl, "
            "or a dataset of the hub; may be repeated.",
            metavar="NAME",
            autocompletion=complete_dataset,
        ),
    ] = None
    bitext: Annotated[
        list[str] | None,
        typer.Option(
            help="Files of parallel lines, in two languages or more: a line is the passage of the "
            "same line of another file. For x-y: in one language a text would be its own passage. "
            "May be repeated.",
            metavar="LANG=FILE,LANG=FILE",
        ),
    ] = None
    negatives: Annotated[
        int, typer.Option(help="Hard negatives of a row, from files that have them.")
    ] = 0
    language: Annotated[
        str | None, typer.Option(help="The language of files with plain texts.")
    ] = None

    def read(self, load: LoadOptions) -> "list[ParallelPairs]":
        """Read datasets by name, files, datasets of the hub and parallel lines."""
        from beir_hybrid.pairs.reading import read_bitext
        from beir_hybrid.sources import datasets

        names, bitexts = self.train or [], self.bitext or []
        if not names and not bitexts:
            raise BadOption("--train is needed, or --bitext")
        n_datasets = sum(name in datasets() for name in names)
        for option, value, is_unused in (
            ("negatives", self.negatives, n_datasets == len(names)),
            ("language", self.language, n_datasets == len(names)),
            ("option", load.option, not n_datasets),
        ):
            if value and is_unused:
                raise BadOption(f"--{option} changes nothing of {', '.join([*names, *bitexts])}")
        languages = split_commas(load.languages)
        return [
            *(self.read_source(name, languages, load) for name in names),
            *(read_bitext(_parse_bitext(text), languages=languages) for text in bitexts),
        ]

    def read_source(
        self, name: str, languages: list[str] | None, load: LoadOptions
    ) -> "ParallelPairs":
        """Read a dataset by its name, a file, a folder of images, or a dataset of the hub."""
        from beir_hybrid.pairs.reading import pairs_from_collection, read_pairs
        from beir_hybrid.sources import datasets

        if name in datasets():
            return pairs_from_collection(
                load_dataset(name, languages, load.option, offline=load.offline)
            )
        if _has_captions(name):
            if self.negatives:
                raise BadOption("--negatives: images have no hard negatives")
            return pairs_from_collection(_load_captions(name, languages, offline=load.offline))
        return read_pairs(
            name, negatives=self.negatives, language=self.language, languages=languages
        )


@dataclass(frozen=True)
class SwitchOptions:
    """Code switching."""

    switch: Annotated[
        float | None, typer.Option(help="The probability that a word is translated.")
    ] = None
    lexicon: Annotated[
        Path | None,
        typer.Option(help='Lines such as {"de": "Haus", "en": "house"}.', metavar="FILE"),
    ] = None
    switch_on: Annotated[
        str | None, typer.Option(help="queries, passages or both, the default.")
    ] = None

    def make_code_switch(self) -> "CodeSwitch | None":
        """Return the code switch of the options, if there is one."""
        from beir_hybrid.pairs.code_switching import code_switch

        if self.switch is None and self.lexicon is None:
            if self.switch_on:
                raise BadOption("--switch-on goes with --switch and --lexicon")
            return None
        if self.switch is None or self.lexicon is None:
            raise BadOption("--switch and --lexicon go together")
        sides: Any = self.switch_on or "both"  # checked by the function
        return code_switch(self.switch, self.lexicon, sides)


@dataclass(frozen=True)
class LossOptions:
    """The loss."""

    temperature: Annotated[
        float, typer.Option(help="The temperature that divides similarities.")
    ] = 0.05
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Also from passages to queries.")
    ] = False
    consistency: Annotated[
        float,
        typer.Option(help="The weight of a term that draws translations of a query together."),
    ] = 0.0
    mask: Annotated[
        bool, typer.Option(help="Exclude a query's other relevant passages from its negatives.")
    ] = True
    mini_batch_size: Annotated[
        int | None,
        typer.Option(help="Rows embedded at a time, which takes less memory (GradCache)."),
    ] = None
    gather: Annotated[
        bool, typer.Option("--gather", help="Passages of all processes are negatives.")
    ] = False

    def make_arguments(self) -> dict[str, object]:
        """Return the arguments of `HybridContrastiveLoss`."""
        arguments = asdict(self)
        return arguments | {"gather_across_devices": arguments.pop("gather")}


@dataclass(frozen=True)
class DevOptions:
    """Evaluation during training."""

    dev: Annotated[
        str | None,
        typer.Option(
            help="A dataset, or a file as docs/jsonl.md describes, to choose the best checkpoint "
            "by.",
            metavar="NAME",
        ),
    ] = None
    dev_pairs: Annotated[
        str | None,
        typer.Option(
            help="Pairs, named as for --train: choose the checkpoint by their loss.", metavar="NAME"
        ),
    ] = None
    dev_languages: Annotated[
        str | None, typer.Option(help="Languages of --dev or --dev-pairs, with commas between.")
    ] = None
    primary: Annotated[
        str | None, typer.Option(help="The value to choose by, such as multi_AP.")
    ] = None
    patience: Annotated[
        int | None, typer.Option(help="Stop after this many evaluations without improvement.")
    ] = None

    def load_dev_set(self, data: DataOptions, load: LoadOptions) -> "DevSet | None":
        """Load the development set, if there is one."""
        from beir_hybrid.training.dev_set import DevSet

        if self.dev and self.dev_pairs:
            raise BadOption("--dev and --dev-pairs both choose the best checkpoint; leave one out")
        if not self.dev and not self.dev_pairs:
            for name, value in list_changes(self).items():
                raise BadOption(
                    f"--{name.replace('_', '-')} goes with --dev or --dev-pairs, not {value!r} "
                    "alone"
                )
            return None
        dev_data: Collection | ParallelPairs
        if self.dev_pairs:
            languages = split_commas(self.dev_languages)
            # Options of the training's dataset are not those of another.
            dev_data = data.read_source(
                self.dev_pairs, languages, LoadOptions(offline=load.offline)
            )
        else:
            dev_data = load_test_collection(
                self.dev or "", self.dev_languages, offline=load.offline
            )
        return DevSet(dev_data, primary=self.primary, patience=self.patience)


@dataclass(frozen=True)
class TuningOptions:
    """Which weights are trained."""

    lora: Annotated[
        list[str] | None,
        typer.Option(
            help="Train adapters alone: an option of peft's LoraConfig, such as r=16, or "
            "layers=[0,1] of the text tower; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None
    freeze: Annotated[
        str | None,
        typer.Option(help="vision: keep the vision tower as it is.", metavar="TOWER"),
    ] = None

    def make_tuning(self) -> dict[str, object]:
        """Return the argument ``tuning`` of `bh.train`."""
        lora = _parse_yaml_values(self.lora) if self.lora else None
        return {"lora": lora, "freeze": self.freeze}


@dataclass(frozen=True)
class TrainingOptions:
    """The options that `train` and `ablate` have."""

    data: DataOptions
    load: LoadOptions
    switch: Annotated[SwitchOptions, Group("Code switching")]
    loss: Annotated[LossOptions, Group("The loss")]
    dev: Annotated[DevOptions, Group("Evaluation during training")]
    encoder: Annotated[EncoderOptions, Group("The model", without=_NO_TRAINING_OPTIONS)]
    tuning: Annotated[TuningOptions, Group("The model")]

    def read_pairs(self) -> "list[ParallelPairs]":
        """Read the training data."""
        set_offline(self.load.offline)
        return self.data.read(self.load)

    def make_arguments(self) -> dict[str, Any]:
        """Return arguments of `bh.train`, without model, pairs, output and strategy."""
        return {
            "loss": self.loss.make_arguments(),
            "dev": self.dev.load_dev_set(self.data, self.load),
            "encoder": list_changes(self.encoder),
            "tuning": self.tuning.make_tuning(),
        }


def check_needed(model: str, needed: Mapping[str, object]) -> None:
    """Raise `BadOption` if the model or one of the needed options is missing.

    They are not required for typer, for a configuration file may have them.
    """
    if model.startswith("-"):  # an option of the trainer, which typer does not know
        raise BadOption(f"MODEL comes before options such as {model}")
    if not model:
        raise BadOption("MODEL is needed")
    for name, value in needed.items():
        if not value:
            raise BadOption(f"--{name} is needed")


def load_test_collection(name: str, languages: str | None, *, offline: bool) -> "Collection":
    """Load a dataset by name, a JSONL file of the user, or a folder of images with captions."""
    from beir_hybrid.sources import datasets

    if name not in datasets() and Path(name).is_file():
        if languages:
            raise BadOption(f"{name} is evaluated in all its languages; leave them out")
        return load_dataset("jsonl", None, [f"path={name}"], offline=offline)
    if _has_captions(name):
        return _load_captions(name, split_commas(languages), offline=offline)
    return load_dataset(name, split_commas(languages), None, offline=offline)


def _has_captions(name: str) -> bool:
    from beir_hybrid.sources.image_folder import CAPTIONS

    return (Path(name) / CAPTIONS).is_file()


def _load_captions(folder: str, languages: list[str] | None, *, offline: bool) -> "Collection":
    return load_dataset("jsonl-image-text", languages, [f"path={folder}"], offline=offline)


def _parse_bitext(text: str) -> dict[str, str]:
    """Parse ``LANG=FILE,LANG=FILE``."""
    parts = [part.partition("=") for part in text.split(",")]
    files = {lang.strip(): file for lang, _, file in parts}
    if len(files) < max(len(parts), 2) or not all(map(all, parts)):
        raise BadOption(f"--bitext takes LANG=FILE,LANG=FILE of two languages, not {text!r}")
    return files


def _parse_yaml_values(texts: Sequence[str]) -> dict[str, object]:
    """Parse ``KEY=VALUE`` texts, with YAML's numbers and lists as values."""
    import yaml

    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadOption(f"--lora takes KEY=VALUE, not {text!r}")
        values[key] = yaml.safe_load(value)
    return values
