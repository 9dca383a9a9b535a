"""The command that judges a model, vectors or runs in every setting."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beir_hybrid.cli.shared import (
    Engine,
    Json,
    Languages,
    Offline,
    Options,
    dataset_names,
    load,
    show,
    split,
    stay_offline,
)
from beir_hybrid.errors import BadOption
from beir_hybrid.files import check_writable

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.encoding import Encoder
    from beir_hybrid.results.results import Results

_MODEL = "The model"


def _of_model(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=_MODEL)


Preset = Annotated[str | None, _of_model("Prompts by name, such as e5 or hybrid.")]
QueryPrompt = Annotated[str | None, _of_model("What goes before a query.")]
PassagePrompt = Annotated[str | None, _of_model("What goes before a passage.")]
MaxLength = Annotated[int | None, _of_model("Tokens that are read of a text.")]
DType = Annotated[str | None, _of_model("float32, float16 or bfloat16.")]
Normalize = Annotated[bool | None, _of_model("Whether vectors get unit length.")]
TruncateDim = Annotated[int | None, _of_model("Dimensions to keep.")]
BatchSize = Annotated[int | None, _of_model("Texts a batch.")]
Device = Annotated[str | None, _of_model("Such as cpu or cuda:1.")]
Revision = Annotated[str | None, _of_model("A commit of the model on the hub.")]
TrustRemoteCode = Annotated[bool, _of_model("Run code the model brings.", "--trust-remote-code")]

Model = Annotated[
    str | None, typer.Argument(help="A name on the hub, or a folder.", metavar="MODEL")
]
NeededModel = Annotated[
    str, typer.Argument(help="A name on the hub, or a folder.", metavar="MODEL")
]
Data = Annotated[
    str,
    typer.Option(
        help="A dataset's name, such as xquad-r.", metavar="NAME", autocompletion=dataset_names
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        help="Of mono,cross,multi,one-target and, with pictures, text-image,image-text,image-pool,"
        "mixed; by default all there are but one-target.",
        metavar="KINDS",
    ),
]
Measures = Annotated[
    list[str] | None,
    typer.Option(help="ir-measures' names, with spaces or commas between.", metavar="NAMES"),
]
Called = Annotated[str, typer.Option(help="What to call the model in the results.")]
Output = Annotated[Path | None, typer.Option(help="The folder for the results.", metavar="DIR")]
Runs = Annotated[
    bool,
    typer.Option(
        "--runs", help="Write each setting's run into DIR/runs, too, and remove earlier ones."
    ),
]
Depth = Annotated[int | None, typer.Option(help="Passages of a run: 1000, or 100 with --rerank.")]
Resume = Annotated[
    bool, typer.Option(help="Use the embeddings that are there, or encode all anew.")
]
Run = Annotated[
    list[Path] | None,
    typer.Option(help="Judge a TREC run, not a model; may be repeated.", metavar="FILE"),
]
Vectors = Annotated[
    Path | None,
    typer.Option(
        help="Judge vectors: queries.npy, queries.txt (ids), passages.npy, passages.txt.",
        metavar="DIR",
    ),
]
Rerank = Annotated[
    str | None,
    typer.Option(
        help="A cross-encoder, or blip:MODEL, that reorders the best passages.", metavar="MODEL"
    ),
]


def evaluate(
    dataset: Data,
    model: Model = None,
    languages: Languages = None,
    option: Options = None,
    settings: Settings = None,
    measures: Measures = None,
    name: Called = "",
    output: Output = None,
    runs: Runs = False,
    depth: Depth = None,
    resume: Resume = True,
    run: Run = None,
    embeddings: Vectors = None,
    rerank: Rerank = None,
    engine: Engine = "local",
    preset: Preset = None,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_length: MaxLength = None,
    dtype: DType = None,
    normalize: Normalize = None,
    truncate_dim: TruncateDim = None,
    batch_size: BatchSize = None,
    device: Device = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Judge a model in every setting: effectiveness, and bias towards languages.

    Texts are encoded once and kept in the cache: a killed evaluation goes on where it stopped.

    Examples
    --------
    `beir-hybrid evaluate intfloat/multilingual-e5-small --dataset xquad-r --output e5`

    `beir-hybrid evaluate my-model --dataset mlqa-r --languages de,en --measures "RR nDCG@10"`

    `beir-hybrid evaluate --run de-all.trec --dataset xquad-r`
    """
    encoder = {
        "preset": preset,
        "query_prompt": query_prompt,
        "passage_prompt": passage_prompt,
        "max_length": max_length,
        "dtype": dtype,
        "normalize": normalize,
        "truncate_dim": truncate_dim,
        "batch_size": batch_size,
        "device": device,
        "revision": revision,
        "trust_remote_code": trust_remote_code or None,
    }
    of_ranking = {
        "settings": None if settings is None else " ".join(settings),
        "depth": depth,
        "rerank": rerank,
        "runs": output / "runs" if output and runs else None,
        "engine": None if engine == "local" else engine,
    }
    given: list[dict[str, Any]] = [
        {name: value for name, value in table.items() if value is not None}
        for table in (encoder, of_ranking)
    ]
    if runs and output is None:
        raise BadOption("--runs takes a model and --output, the folder that runs go to")
    _refuse(model, run, embeddings, *given)
    named = chosen(measures)
    if output is not None:
        check_writable(output / "results")  # before all the work, as the model is loaded
    stay_offline(offline)
    judged = _loaded(model, given[0]) if model else None
    collection = load(dataset, split(languages), option, offline)
    if run:
        from beir_hybrid.evaluation.external_runs import evaluate_runs

        results = evaluate_runs(run, collection, name=name, **named)
    else:
        judged = judged if embeddings is None else _vectors(embeddings, collection)
        # What is encoded anew is not kept: the cache keeps what it has.
        with nullcontext() if resume else tempfile.TemporaryDirectory() as store:
            results = _evaluated(judged, collection, store, name, named | given[1])
    show(results, output, as_json)


def _refuse(
    model: str | None,
    run: list[Path] | None,
    embeddings: Path | None,
    encoder: dict[str, Any],
    of_ranking: dict[str, Any],
) -> None:
    """Raise `BadOption` where options do not fit together."""
    named = {"MODEL": model, "--run": run, "--embeddings": embeddings}
    found = [name for name, value in named.items() if value]
    if len(found) != 1:
        raise BadOption(f"name one of MODEL, --run, --embeddings; found {found or 'none'}")
    for what, options, useless in (
        ("a model", encoder, not model),
        ("a ranking", of_ranking, bool(run)),
    ):
        if options and useless:
            name = next(iter(options)).replace("_", "-")
            raise BadOption(f"--{name} is an option of {what}, and {found[0]} needs none")


def chosen(measures: list[str] | None) -> dict[str, Any]:
    """Read the names of measures, before anything is loaded."""
    if measures is None:
        return {}
    from beir_hybrid.measures.parsing import parse_measures

    return {"measures": parse_measures(" ".join(measures))}


def _loaded(model: str, options: dict[str, Any]) -> "Encoder":
    from beir_hybrid.encoding import as_encoder

    return as_encoder(model, **options)


def _vectors(folder: Path, collection: "Collection") -> Any:
    from beir_hybrid.evaluation.external_vectors import read_vectors

    return read_vectors(folder, collection)


def _evaluated(
    model: Any, collection: "Collection", store: str | None, name: str, options: dict[str, Any]
) -> "Results":
    from beir_hybrid.evaluation.evaluate import evaluate

    return evaluate(model, collection, store=store, name=name, **options)
