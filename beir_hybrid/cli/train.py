"""The commands that train a model, with one strategy or with several side by side."""
# ruff: noqa: ARG001 - typer wants all options named, and they are read from its context

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from beir_hybrid.cli.shared import Languages, Offline, Options, load, print_table, split
from beir_hybrid.errors import BadData, BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.training.pairs import ParallelPairs

EXTRA = {"allow_extra_args": True, "ignore_unknown_options": True}
_ARGUMENTS = "arguments of the trainer"  # in the context's notes


def _panel(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _config(context: typer.Context, path: Path | None) -> Path | None:
    """Take what a YAML file says for what is not on the line."""
    if path is None:
        return None
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise BadData(f"{path} must map options to values")
    given = {str(name).replace("-", "_"): value for name, value in found.items()}
    given = {name: value for name, value in given.items() if value is not None}
    ours = {param.name: param for param in context.command.params if param.name != "config"}
    context.default_map = {
        name: _fitted(name, value, getattr(ours[name], "multiple", False))
        for name, value in given.items()
        if name in ours
    }
    context.meta[_ARGUMENTS] = {name: value for name, value in given.items() if name not in ours}
    return path


def _fitted(name: str, value: Any, multiple: bool) -> Any:
    """Return a YAML value as the command line would have it."""
    if isinstance(value, dict):
        value = [f"{key}={one}" for key, one in value.items()]
    if multiple:
        return value if isinstance(value, list) else [value]
    if not isinstance(value, list):
        return value
    if len(value) > 1 and "languages" not in name:
        raise BadOption(f"{name} is one value, not {value!r}")
    return ",".join(map(str, value))


_LOSS, _DEV, _MODEL, _SWITCH = "The loss", "Judging on the way", "The model", "Code switching"
Model = Annotated[
    str, typer.Argument(help="A name on the hub, or a folder.", metavar="MODEL", show_default=False)
]
Train = Annotated[
    list[str] | None,
    typer.Option(
        help="A dataset such as mlqa-r, a JSONL or Parquet file, or a dataset of the hub; may be "
        "repeated.",
        metavar="NAME",
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="The folder for all that is made.", metavar="DIR")
]
HOW = "x-x-mono, x-y, x-y-batch, x-x, en-en, or hybrid, with options as in hybrid:alpha=0.4"
Strategy = Annotated[str, typer.Option(help=f"{HOW}.", metavar="NAME")]
Config = Annotated[
    Path | None,
    typer.Option(
        help="A YAML file of options and trainer arguments; the line comes first.",
        metavar="FILE",
        is_eager=True,
        callback=_config,
    ),
]
Negatives = Annotated[int, typer.Option(help="Hard negatives a row, of files that have them.")]
Language = Annotated[str | None, typer.Option(help="The language of files with plain texts.")]


def train(
    context: typer.Context,
    model: Model = "",
    train: Train = None,
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
            "Train adapters alone: an option of peft's LoraConfig, such as r=16; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    offline: Offline = False,
) -> None:
    """Train a model with batches that are wholly in one language, or wholly cross-lingual.

    All arguments of sentence-transformers' trainer are options too, such as `--max-steps 500`,
    `--per-device-train-batch-size 64`, `--learning-rate 2e-5`, `--eval-strategy steps`, `--bf16`.
    A training that was killed goes on. `torchrun -m beir_hybrid train ...` and `accelerate launch`
    use several processes.

    Examples
    --------
    `beir-hybrid train xlm-roberta-base --train mlqa-r --dev xquad-r --output hybrid`

    `beir-hybrid train my-model --train pairs.jsonl --strategy hybrid:alpha=0.4 --output out`
    """
    from beir_hybrid.training.train import train as run

    given = context.params
    _needed(given, "model", "train", "output")
    pairs, options = _read(given), _options(given)
    arguments = _arguments(context.meta.get(_ARGUMENTS, {}), context.args)
    run(model, pairs, given["output"], strategy=_strategy(strategy, given), **options, **arguments)
    typer.echo(f"saved in {given['output'] / 'model'}")


Test = Annotated[
    list[str] | None,
    typer.Option(
        help="A dataset, or a file as docs/jsonl.md has it, to judge on; may be repeated.",
        metavar="NAME",
    ),
]
TestLanguages = Annotated[
    str | None, typer.Option(help="The languages to judge on, with commas between; all by default.")
]
Strategies = Annotated[
    list[str] | None, typer.Option("--strategy", help=f"{HOW}; repeated.", metavar="NAME")
]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="A seed; repeated. 1, 2, 3.")]


def ablate(
    context: typer.Context,
    model: Model = "",
    train: Train = None,
    test: Test = None,
    test_languages: TestLanguages = None,
    output: Output = None,
    strategy: Strategies = None,
    seed: Seeds = None,
    config: Config = None,
) -> None:
    """Train a model with several strategies and seeds, alike in all else, and judge each.

    All options of `beir-hybrid train` and of the trainer are options too; `--max-steps` is needed.
    What is there is not made again: a run that was killed goes on.

    Examples
    --------
    `beir-hybrid ablate my-model --train mlqa-r --test xquad-r --strategy x-x-mono --strategy x-y
    --strategy hybrid --max-steps 300 --output ablation`
    """
    from ir_measures import AP

    from beir_hybrid.evaluation.measures import RankDistance
    from beir_hybrid.training.ablate import ablate as run
    from beir_hybrid.training.ablate import table

    given = context.params
    _needed(given, "model", "train", "test", "output", "strategy")
    more = context.meta.get(_ARGUMENTS, {})
    # What is not ours is an option of `train`, or else the trainer's.
    ours = {param.name for param in TRAIN.params}
    defaults = {name: value for name, value in more.items() if name in ours}
    inner = TRAIN.make_context("train", [model, *context.args], default_map=defaults)
    options, arguments = _options(inner.params), _arguments(
        {name: value for name, value in more.items() if name not in ours}, inner.args
    )  # fmt: skip
    if "max_steps" not in arguments:
        raise BadOption("ablate needs --max-steps: epochs of strategies differ in length")
    common = inner.params | {"train": given["train"]}
    trials = run(
        model,
        _read(common),
        given["output"],
        strategies={name: _strategy(name, common) for name in given["strategy"]},
        seeds=given["seed"] or (1, 2, 3),
        test=[
            _collection(name, given["test_languages"], common["offline"]) for name in given["test"]
        ],
        **options,
        **arguments,
    )
    shown: Any = {
        "mono AP": (AP, "mono"), "cross AP": (AP, "cross"), "multi AP": (AP, "multi"),
        "rank distance": (RankDistance, "multi"),
    }  # fmt: skip
    print_table(["collection", "strategy", *shown], list(table(trials, shown)))
    typer.echo(f"saved in {given['output']}")


def _needed(given: Mapping[str, Any], *names: str) -> None:
    if str(given["model"]).startswith("-"):  # an option of the trainer's, which click knows not
        raise BadOption(f"MODEL comes before options such as {given['model']}")
    for name in names:
        if not given[name]:
            raise BadOption(f"{'MODEL' if name == 'model' else f'--{name}'} is needed")


def _collection(name: str, languages: str | None, offline: bool) -> "Collection":
    """Load a dataset by name, or a file of one's own."""
    from beir_hybrid.sources import datasets

    if name not in datasets() and Path(name).is_file():
        if languages:
            raise BadOption(f"{name} is judged on in all its languages")
        return load("jsonl", None, [f"path={name}"], offline)
    return load(name, split(languages), None, offline)


def _read(given: Mapping[str, Any]) -> "list[ParallelPairs]":
    """Read what is trained on: datasets by name, or files and datasets of the hub."""
    from beir_hybrid.sources import datasets
    from beir_hybrid.training.rows import pairs_of_collection, read_pairs

    known = [name for name in given["train"] if name in datasets()]
    for option, needless in (
        ("negatives", len(known) == len(given["train"])),
        ("language", len(known) == len(given["train"])),
        ("option", not known),
    ):
        if given[option] and needless:
            raise BadOption(f"--{option} changes nothing of {', '.join(given['train'])}")
    langs, negatives, language = split(given["languages"]), given["negatives"], given["language"]
    return [
        pairs_of_collection(load(name, langs, given["option"], given["offline"]))
        if name in known
        else read_pairs(name, negatives=negatives, language=language, languages=langs)
        for name in given["train"]
    ]


def _strategy(name: str, given: Mapping[str, Any]) -> Any:
    from beir_hybrid.training.strategies import strategy
    from beir_hybrid.training.switching import code_switch

    if (given["switch"] is None) != (given["lexicon"] is None):
        raise BadOption("--switch and --lexicon go together")
    if given["switch"] is None:
        if given["switch_on"]:
            raise BadOption("--switch-on goes with --switch and --lexicon")
        return strategy(name)
    switch = code_switch(given["switch"], given["lexicon"], given["switch_on"] or "both")
    return strategy(name, code_switch=switch)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the function `train`."""
    loss = ("temperature", "symmetric", "consistency", "mask", "mini_batch_size")
    encoder = ("preset", "query_prompt", "passage_prompt", "revision")
    kept = {name: given[name] for name in encoder if given[name] is not None}
    dev, langs = given["dev"], given["dev_languages"]
    if langs and not dev:
        raise BadOption("--dev-languages goes with --dev")
    return {
        "loss": {name: given[name] for name in loss} | {"gather_across_devices": given["gather"]},
        "encoder": kept | ({"trust_remote_code": True} if given["trust_remote_code"] else {}),
        "dev": _collection(dev, langs, given["offline"]) if dev else None,
        "lora": _values(given["lora"]) if given["lora"] else None,
        **{name: given[name] for name in ("primary", "patience", "max_length")},
    }


def _values(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE``, with YAML's numbers and lists as values."""
    import yaml

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadOption(f"--lora takes KEY=VALUE, not {pair!r}")
        found[key] = yaml.safe_load(value)
    return found


def _arguments(given: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Read the trainer's arguments, of a file and of the line, by their types."""
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import HfArgumentParser

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise BadOption(message)

    dataclass: Any = SentenceTransformerTrainingArguments
    parser = Parser(dataclass, allow_abbrev=False, add_help=False)
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to say "if given"
        action.default, action.required = argparse.SUPPRESS, False
    known = {action.dest for action in parser._actions}  # noqa: SLF001
    written = []
    for name, value in given.items():
        _is_known(name, known)
        many = isinstance(value, list)
        written += [f"--{name}", *(map(_word, value) if many else [_word(value)])]
    found, rest = parser.parse_known_args([*written, *words])
    if rest:
        _is_known(rest[0].lstrip("-").partition("=")[0].replace("-", "_"), known)
        raise BadOption(f"{rest[0]!r} is no option")
    return {"disable_tqdm": not sys.stderr.isatty(), **vars(found)}


def _is_known(name: str, known: set[str]) -> None:
    """Raise `BadOption` for what is no argument of the trainer, with the nearest name."""
    ours = {str(param.name) for param in TRAIN.params}
    if name not in known:
        near = get_close_matches(name, known | ours, n=1, cutoff=0.5)
        hint = f"did you mean --{near[0].replace('_', '-')}?" if near else "see --help"
        raise BadOption(f"there is no option {name!r}; {hint}")


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | bool) else str(value)


_app = typer.Typer(pretty_exceptions_enable=False)
_app.command(context_settings=EXTRA)(train)
TRAIN = typer.main.get_command(_app)
