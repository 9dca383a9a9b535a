"""The command that fills the store of embeddings, in one piece or in parts that run apart."""
# ruff: noqa: ARG001 - typer wants all options named, and they are read from its context

from typing import Annotated

import typer

from beir_hybrid.cli.evaluate import (
    BatchSize,
    Data,
    Device,
    DType,
    MaxLength,
    NeededModel,
    Normalize,
    PassagePrompt,
    Preset,
    QueryPrompt,
    Revision,
    TruncateDim,
    TrustRemoteCode,
)
from beir_hybrid.cli.shared import (
    Engine,
    Languages,
    Offline,
    Options,
    encoder_options,
    load,
    split,
    stay_offline,
)
from beir_hybrid.errors import BadOption

Shard = Annotated[
    str | None,
    typer.Option(help="A part of the texts, such as 2/8; other jobs do the others.", metavar="I/N"),
]
Merge = Annotated[bool, typer.Option("--merge", help="Check that the parts of all jobs are there.")]


def encode(
    context: typer.Context,
    model: NeededModel,
    dataset: Data,
    languages: Languages = None,
    option: Options = None,
    shard: Shard = None,
    merge: Merge = False,
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
) -> None:
    """Encode a dataset's texts into the cache, where `evaluate` and `index` find them.

    Jobs that share the cache's folder can each encode a part; what is there is not encoded again.
    On several machines: `--engine ray`, with the cluster's address in RAY_ADDRESS.

    Examples
    --------
    `beir-hybrid encode my-model --dataset miracl --shard $SLURM_ARRAY_TASK_ID/8`

    `beir-hybrid encode my-model --dataset miracl --merge`
    """
    if merge and shard:
        raise BadOption("--merge checks the parts of all jobs; leave out --shard")
    from beir_hybrid.encoding import EncodingStats, as_encoder
    from beir_hybrid.encoding.engines import open_cluster, parallel_encoder
    from beir_hybrid.encoding.partition import ONLY_PART, Part, check_parts, encode_part

    part = Part.parse(shard) if shard else ONLY_PART
    stay_offline(offline)
    with open_cluster(engine) as cluster:
        encoder = as_encoder(model, **encoder_options(context))
        collection = load(dataset, split(languages), option, offline)
        with parallel_encoder(encoder, cluster) as working:
            if merge:
                there = check_parts(working, collection)
                typer.echo(f"{collection.name}: all {there:,} texts are encoded")
                return
            stats = EncodingStats()
            n = encode_part(working, collection, part, stats=stats)
    if not n:
        typer.echo(
            f"{collection.name}: part {part} has no texts: there are too few for {part.total} parts"
        )
        return
    of = f" of part {part}" if shard else ""
    typer.echo(
        f"{collection.name}: {stats.texts:,} texts{of} encoded in {stats.seconds:.1f} seconds"
    )
