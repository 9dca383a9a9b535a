"""The commands that make training groups better, each from a file of groups to another file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    Engine,
    Model,
    complete_dataset,
    load_dataset,
    set_offline,
    split_commas,
)
from beir_hybrid.cli.printing import Json, echo, print_json
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.curation.steps import StepRecord

Pairs = Annotated[
    Path,
    typer.Argument(help="A file of training groups: JSONL or Parquet.", metavar="PAIRS"),
]
GroupsOutput = Annotated[
    Path, typer.Option("--output", help="The file of groups to write.", metavar="FILE.jsonl")
]
SourceLanguage = Annotated[
    str,
    typer.Option(
        "--from",
        help="The language of the originals, which the other texts translate.",
        metavar="LANG",
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use mirror and cache only, never the network.")
]


@dataclass(frozen=True)
class RuleOptions:
    """The rules of a filter."""

    length_ratio: Annotated[
        float,
        typer.Option(
            help="How many times longer or shorter a translation may be than is usual; 0: any."
        ),
    ] = 3.0
    numbers: Annotated[
        bool, typer.Option(help="Leave out translations with other numbers than their source.")
    ] = True
    identify: Annotated[
        bool,
        typer.Option("--identify", help="Leave out texts in another language; takes py3langid."),
    ] = False
    quantile: Annotated[
        float,
        typer.Option(help="With --model: the share of each pair of languages to leave out."),
    ] = 0.1
    test: Annotated[
        list[str] | None,
        typer.Option(
            help="A dataset, file or folder whose texts must not be trained on; may be repeated.",
            metavar="NAME",
            autocompletion=complete_dataset,
        ),
    ] = None
    ngram: Annotated[
        int,
        typer.Option(help="How many words in a row, shared with a test, make a text contaminated."),
    ] = 13


FilterModel = Annotated[
    str | None,
    typer.Option(help="An encoder that judges how similar translations are.", metavar="MODEL"),
]


def filter_groups(
    pairs: Pairs,
    output: GroupsOutput,
    rules: RuleOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
    source: SourceLanguage = "en",
    model: FilterModel = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Leave out bad translations, duplicates, and texts of test collections.

    What is left out stands in FILE.dropped.jsonl with the reason, options and counts in
    FILE.record.json.

    Examples
    --------
    `beir-hybrid filter pairs.jsonl --output clean.jsonl --test xquad-r --test mlqa-r`

    `beir-hybrid filter pairs.jsonl --output clean.jsonl --model my-model --quantile 0.05`
    """
    from beir_hybrid.curation.filtering import filter_pairs
    from beir_hybrid.encoding import as_encoder

    set_offline(offline)
    changes = list_changes(encoder)
    if changes and model is None:
        name = next(iter(changes)).replace("_", "-")
        raise BadOption(f"--{name} is an option of --model, which is not named")
    tests = [
        load_dataset(name, None, None, offline=offline) for name in split_commas(rules.test) or []
    ]
    options = {name: value for name, value in asdict(rules).items() if name != "test"}
    record = filter_pairs(
        pairs,
        output,
        model=None if model is None else as_encoder(model, **changes),
        tests=tests,
        source=source,
        **options,
    )
    show_record(record, output, as_json=as_json)


@dataclass(frozen=True)
class NegativeOptions:
    """Which passages become hard negatives."""

    languages: Annotated[
        str,
        typer.Option(
            help="Where the negatives of a passage come from: same, its own language; other, all "
            "others; mixed, all.",
            metavar="same|other|mixed",
        ),
    ] = "same"
    negatives: Annotated[int, typer.Option(help="How many each passage gets at most.")] = 5
    range_min: Annotated[int, typer.Option(help="How many of the best passages to skip.")] = 0
    range_max: Annotated[
        int | None, typer.Option(help="The last rank to look at, golds left out.")
    ] = None
    relative_margin: Annotated[
        float | None,
        typer.Option(
            help="Least distance of a score from the gold's, as a share of the gold's score."
        ),
    ] = None
    max_score: Annotated[float | None, typer.Option(help="The highest score of a negative.")] = None
    rerank: Annotated[
        str | None,
        typer.Option(
            help="A cross-encoder, or openai:MODEL@URL, that scores the candidates and the golds; "
            "the margin and the highest score are about its scores.",
            metavar="MODEL",
        ),
    ] = None
    corpus: Annotated[
        str | None,
        typer.Option(
            help="A dataset, file or folder whose passages may be negatives too.",
            metavar="NAME",
            autocompletion=complete_dataset,
        ),
    ] = None


def mine_hard_negatives(
    model: Model,
    pairs: Pairs,
    output: GroupsOutput,
    mining: NegativeOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
    engine: Engine = "local",
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Find hard negatives: passages that a model ranks high and that answer no question.

    Ranking is exact. Golds of the question and their translations are never negatives.
    `beir-hybrid train --negatives 5` trains with them.

    Examples
    --------
    `beir-hybrid mine my-model pairs.jsonl --output mined.jsonl --languages mixed`

    `beir-hybrid mine my-model pairs.jsonl --output mined.jsonl --relative-margin 0.05`
    """
    from beir_hybrid.curation.mining import mine_negatives
    from beir_hybrid.encoding import as_encoder

    set_offline(offline)
    options = asdict(mining)
    name = options.pop("corpus")
    corpus = None if name is None else load_dataset(name, None, None, offline=offline)
    system = as_encoder(model, **list_changes(encoder))
    record = mine_negatives(pairs, output, system, corpus=corpus, engine=engine, **options)
    show_record(record, output, as_json=as_json)


@dataclass(frozen=True)
class TranslationOptions:
    """A translation step: its texts, its languages and its engine."""

    to: Annotated[
        list[str],
        typer.Option(
            help="Languages to translate into, with commas between or repeated.", metavar="CODES"
        ),
    ]
    engine: Annotated[
        str,
        typer.Option(
            "--with",
            help="hf:MODEL, ctranslate2:DIR, openai:MODEL@URL (the key in OPENAI_API_KEY), or "
            "command:PROGRAM, which reads and writes lines; {source} and {target} in it are the "
            "languages.",
            metavar="ENGINE",
        ),
    ]
    language: Annotated[
        str | None, typer.Option(help="The language of plain texts, if the file has such.")
    ] = None
    by_sentence: Annotated[
        bool, typer.Option("--by-sentence", help="Translate each sentence by itself.")
    ] = False


def translate(
    pairs: Pairs,
    output: GroupsOutput,
    translation: TranslationOptions,
    source: SourceLanguage = "en",
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Translate queries and passages into further languages.

    No text is translated twice: translations are kept in the cache, and a killed command goes on.

    Examples
    --------
    `beir-hybrid translate en.jsonl --to de,zh --with hf:facebook/m2m100_418M --output all.jsonl`

    `beir-hybrid translate en.jsonl --to es --with "command:my-translator {source} {target}"
    --output all.jsonl`
    """
    from beir_hybrid.curation.translation import translate_pairs

    set_offline(offline)
    record = translate_pairs(
        pairs,
        output,
        split_commas(translation.to) or [],
        translation.engine,
        source=source,
        language=translation.language,
        by_sentence=translation.by_sentence,
    )
    show_record(record, output, as_json=as_json)


def show_record(record: "StepRecord", output: Path, *, as_json: bool) -> None:
    """Print the counts of a step, indented by level."""
    if as_json:
        print_json(asdict(record))
        return
    for line in list_lines(record.counts):
        echo(line)
    echo(f"saved in {output}")


def list_lines(counts: dict[str, object], indent: str = "") -> list[str]:
    """Return the lines of nested counts.

    >>> list_lines({"kept": 1200, "texts": {"empty": {"de": 1}}, "dropped": {}})
    ['kept  1,200', 'texts', '  empty', '    de  1', 'dropped  none']
    """
    lines = []
    for name, value in counts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}", *list_lines(value, f"{indent}  ")]
        else:
            lines.append(f"{indent}{name}  {format(value, ',') if value != {} else 'none'}")
    return lines
