"""Options of encoders: each declared once, with type, default and help.

The command line and the Python functions that take an encoder's options read this declaration. A
class of encoders names those that it reads, and refuses all others.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.encoding.arithmetic import DType, check_dtype
from beir_hybrid.encoding.presets import PRESETS
from beir_hybrid.errors import BadOption, lookup

TRUST = "trust_remote_code"  # the option that only a user gives, and never a file
PROMPT_OPTIONS = frozenset({"preset", "query_prompt", "passage_prompt"})


@dataclass(frozen=True)
class EncoderOptions:
    """Options of encoders, validated.

    The metadata of each field holds its ``help``. Fields with ``load`` in their metadata are handed
    to the constructor of ``SentenceTransformer`` under their own name, and apply only to models
    that are loaded by name. Fields with ``training`` are options of a training, too. Fields with
    ``recorded`` may be read from an index or from results, which anybody may have made: they run no
    code and name no files.

    Attributes
    ----------
    preset
        The name of a row of `beir_hybrid.encoding.presets.PRESETS`, such as ``"e5"``.
    query_prompt, passage_prompt
        The text before each query and passage. If left out, `preset` counts, then the model's own
        prompts, then the preset of exactly this hub name; otherwise there is no prompt.
    max_length
        Tokens to which a text is truncated, prompt included; the model's own limit by default.
    dtype
        The arithmetic of the model: ``float32``, ``float16`` and ``bfloat16`` are those of its
        weights; ``mixed-bfloat16`` keeps float32 weights and multiplies in bfloat16. With ``auto``
        `beir_hybrid.evaluation.dtype_choice` takes one of float32 and mixed-bfloat16.
    normalize
        Whether vectors get unit length, so that scores are cosines. By default they do, unless the
        model names the dot product as its similarity.
    truncate_dim
        The number of dimensions to keep (Matryoshka models).
    batch_size
        Texts or images of a batch.
    device, revision, trust_remote_code
        Where the model computes, its commit, branch or tag on the hub, and whether code that comes
        with the model may run.

    Examples
    --------
    >>> EncoderOptions(max_length=256).batch_size
    32
    >>> EncoderOptions.parse({"batchsize": 64})
    Traceback (most recent call last):
    ...
    beir_hybrid.errors.UnknownName: no option 'batchsize'; did you mean 'batch_size'?
    """

    preset: str | None = field(
        default=None,
        metadata={
            "help": "Prompts by name: e5, ..., or hybrid ('Query: ' and 'Passage: ').",
            "training": True,
            "recorded": True,
        },
    )
    query_prompt: str | None = field(
        default=None,
        metadata={"help": "The text before each query.", "training": True, "recorded": True},
    )
    passage_prompt: str | None = field(
        default=None,
        metadata={"help": "The text before each passage.", "training": True, "recorded": True},
    )
    max_length: int | None = field(
        default=None,
        metadata={
            "help": "Tokens to which a text is truncated, prompt included.",
            "training": True,
            "recorded": True,
        },
    )
    dtype: DType | None = field(
        default=None,
        metadata={
            "help": "Arithmetic: float32, float16, bfloat16, mixed-bfloat16; auto takes the last "
            "where rankings hold.",
            "recorded": True,
        },
    )
    normalize: bool | None = field(
        default=None,
        metadata={
            "help": "Give vectors unit length, so that scores are cosines, or do not.",
            "recorded": True,
        },
    )
    truncate_dim: int | None = field(
        default=None, metadata={"help": "Dimensions to keep (Matryoshka models).", "recorded": True}
    )
    batch_size: int = field(
        default=32, metadata={"help": "Texts or images of a batch.", "recorded": True}
    )
    device: str | None = field(
        default=None,
        metadata={"help": "Device, such as cpu or cuda:1.", "load": True, "recorded": True},
    )
    revision: str | None = field(
        default=None,
        metadata={
            "help": "Commit, branch or tag of the model.",
            "load": True,
            "training": True,
            "recorded": True,
        },
    )
    trust_remote_code: bool = field(
        default=False,
        metadata={"help": "Run code that comes with the model.", "load": True, "training": True},
    )
    # New options go here; see CONTRIBUTING.md.

    def __post_init__(self) -> None:
        check_positive_or_none(
            batch_size=self.batch_size, max_length=self.max_length, truncate_dim=self.truncate_dim
        )
        check_dtype(self.dtype)
        if self.preset:
            lookup("preset", self.preset, PRESETS)
        for option in fields(self):
            value = getattr(self, option.name)
            if option.type in (bool, bool | None) and value not in (None, True, False):
                raise BadOption(f"{option.name} is {value!r}; it must be True or False")

    @classmethod
    def parse(cls, options: Mapping[str, object]) -> Self:
        """Build the options from keyword arguments, where None stands for the default."""
        check_option_names(options)
        values: dict[str, Any] = {
            name: value for name, value in options.items() if value is not None
        }
        return cls(**values)

    def check_applicable(self, names: Container[str], subject: str) -> None:
        """Raise `BadOption` for an option that has a value and is none of some names.

        Parameters
        ----------
        subject
            The model and its family, for the message.
        """
        for option in fields(self):
            if option.name not in names and getattr(self, option.name) != option.default:
                raise BadOption(f"{option.name} does not apply to {subject}")

    def loading_arguments(self) -> dict[str, object]:
        """Return the arguments for the constructor of ``SentenceTransformer``."""
        return {
            option.name: getattr(self, option.name)
            for option in fields(self)
            if option.metadata.get("load")
        }


def list_loading_options() -> frozenset[str]:
    """List the options that go to the constructor of a model."""
    return frozenset(
        option.name for option in fields(EncoderOptions) if option.metadata.get("load")
    )


def read_recorded_options(options: Mapping[str, object], place: str) -> dict[str, object]:
    """Return the options of an encoder from a file, without trust in the code of its model.

    Parameters
    ----------
    place
        The file, for messages.

    Raises
    ------
    BadOption
        If the file has an option that no file may set.
    """
    allowed = {option.name for option in fields(EncoderOptions) if option.metadata.get("recorded")}
    for name, value in options.items():
        if name not in allowed and name != TRUST:
            raise BadOption(f"{place} sets {name!r:.80}, an option that no file may set")
        if not isinstance(value, str | int | None):
            raise BadOption(f"{place} sets {name} to {value!r:.80}, which is no value of an option")
    return {name: value for name, value in options.items() if name in allowed}


def check_option_names(names: Iterable[str]) -> None:
    """Raise `UnknownName`, with the nearest name, unless all are names of `EncoderOptions`."""
    known_names = dict.fromkeys(option.name for option in fields(EncoderOptions))
    for name in names:
        lookup("option", name, known_names)
