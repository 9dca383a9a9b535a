"""Options of the commands that train, and the arguments of `bh.train` that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import LoadOptions, check_dataset, set_offline, split_commas
from beir_hybrid.cli.training_data import DataOptions, has_negatives, load_test_collection
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.encoding.families import Family
    from beir_hybrid.pairs.code_switching import CodeSwitch
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs
    from beir_hybrid.training.dev_set import DevSet

# Options of the encoder that do not apply to a training.
_NO_TRAINING_OPTIONS = tuple(
    option.name for option in fields(EncoderOptions) if not option.metadata.get("training")
)

_DENSE_TEMPERATURE = 0.05  # of `HybridContrastiveLoss`

FamilyName = Annotated[
    str | None,
    typer.Option(
        help="dense, sparse, late or cross; by default what the model's files tell, or dense.",
        metavar="NAME",
    ),
]

OutputFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", help="The folder for the model, checkpoints and records.", metavar="DIR"
    ),
]


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
    switch_on: Annotated[str | None, typer.Option(help="queries, passages or both (default).")] = (
        None
    )

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
        float | None,
        typer.Option(
            help="The temperature that divides similarities: 0.05 by default for dense models, 1 "
            "for sparse and late ones, 0.1 for cross-encoders."
        ),
    ] = None
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Also train from passages to queries.")
    ] = False
    consistency: Annotated[
        float,
        typer.Option(help="The weight of a term that draws translations of a query together."),
    ] = 0.0
    mask: Annotated[
        bool, typer.Option(help="Exclude a query's other relevant passages from its negatives.")
    ] = True
    centre: Annotated[
        float,
        typer.Option(
            help="Take the running mean of each language out of the vectors, with this momentum "
            "per row, such as 0.99; 0: leave it."
        ),
    ] = 0.0
    mini_batch_size: Annotated[
        int | None,
        typer.Option(help="Rows embedded at a time, which takes less memory (GradCache)."),
    ] = None
    gather: Annotated[
        bool, typer.Option("--gather", help="Use the passages of all processes as negatives.")
    ] = False

    def make_arguments(self, family: "Family") -> dict[str, object]:
        """Return the arguments of a family's loss; those of other families have own defaults."""
        if family != "dense":
            return list_changes(self)
        arguments = asdict(self)
        if self.temperature is None:
            arguments["temperature"] = _DENSE_TEMPERATURE
        return arguments | {"gather_across_devices": arguments.pop("gather")}


@dataclass(frozen=True)
class DevOptions:
    """Evaluation during training."""

    dev: Annotated[
        str | None,
        typer.Option(
            help="A dataset, or a JSONL file with a line for each passage and query "
            '({"passage": ID, "text": {LANG: TEXT}}; {"query": ID, "text": {LANG: TEXT}, '
            '"relevant": [ID]}), to choose the best checkpoint by.',
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
        list[str] | None,
        typer.Option(
            help="Languages of --dev or --dev-pairs, with commas between or repeated.",
            metavar="CODES",
        ),
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
            if not has_negatives(self.dev_pairs):
                data = replace(data, negatives=0)
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
    """Which weights are trained, of what family."""

    lora: Annotated[
        list[str] | None,
        typer.Option(
            help="Train LoRA adapters only: an option of peft's LoraConfig, such as r=16, or "
            "layers=[0,1] of the text tower; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None
    freeze: Annotated[
        str | None,
        typer.Option(
            help="A part that is not trained: vision, the encoder of images; or vocabulary, the "
            "vectors of tokens.",
            metavar="PART",
        ),
    ] = None
    family: FamilyName = None
    start_share: Annotated[
        float | None,
        typer.Option(
            help="Save the mean of the weights before and after the training, with this share of "
            "those before, such as 0.5: it keeps more of what the model knew.",
        ),
    ] = None

    def make_tuning(self) -> dict[str, object]:
        """Return the argument ``tuning`` of `bh.train`."""
        lora = _parse_yaml_values(self.lora) if self.lora else None
        return {"lora": lora, "freeze": self.freeze, "start_share": self.start_share}


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

    def check(self) -> None:
        """Raise an error, before all work, for data that are nowhere."""
        self.data.check()
        if self.dev.dev:
            check_dataset(self.dev.dev)

    def read_pairs(self) -> "list[ParallelPairs]":
        """Read the training data."""
        set_offline(self.load.offline)
        return self.data.read(self.load)

    def make_arguments(self, model: str) -> dict[str, Any]:
        """Return arguments of `bh.train`, without model, pairs, output and strategy."""
        from beir_hybrid.training.families import find_training_family

        encoder = list_changes(self.encoder)
        training_family = find_training_family(model, self.tuning.family, encoder)
        return {
            "family": training_family.name,
            "loss": self.loss.make_arguments(training_family.name),
            "dev": self.dev.load_dev_set(self.data, self.load),
            "encoder": encoder,
            "tuning": self.tuning.make_tuning(),
        }


def check_needed(model: str, options: Mapping[str, object]) -> None:
    """Raise `BadOption` if the model or one of the needed options is missing.

    They are not required for typer, for a configuration file may have them.
    """
    if model.startswith("-"):  # an option of the trainer, which typer does not know
        raise BadOption(f"MODEL comes before options such as {model}")
    if not model:
        raise BadOption("MODEL is needed")
    for name, value in options.items():
        if not value:
            raise BadOption(f"--{name} is needed")


def _parse_yaml_values(texts: Sequence[str]) -> dict[str, object]:
    """Parse ``KEY=VALUE`` texts, with YAML's numbers and lists as values."""
    import yaml

    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadOption(f"--lora takes KEY=VALUE, not {text!r}")
        try:
            values[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
            raise BadOption(f"--lora {text}: the value is no YAML: {error}") from error
    return values
