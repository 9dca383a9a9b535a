"""The command that encodes a dataset into the store of vectors, whole or in parts."""

from typing import Annotated

import typer

from beir_hybrid.cli.flatten import Group, list_changes
from beir_hybrid.cli.options import (
    Dataset,
    Engine,
    LoadOptions,
    Model,
    check_dataset,
    check_model,
    set_offline,
)
from beir_hybrid.cli.printing import echo
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadOption

Shard = Annotated[
    str | None,
    typer.Option(
        help="A part of the texts, such as 2/8, for jobs that share the work.", metavar="I/N"
    ),
]
Merge = Annotated[bool, typer.Option("--merge", help="Check that all parts are encoded.")]


def encode(
    model: Model,
    dataset: Dataset,
    load: LoadOptions,
    encoder: Annotated[EncoderOptions, Group("The model")],
    shard: Shard = None,
    merge: Merge = False,
    engine: Engine = "local",
) -> None:
    """Encode a dataset's texts into the cache, where `evaluate` and `index` find them.

    Jobs that share the cache's folder can encode a part each; nothing is encoded twice.
    On several machines: `--engine ray`, with the cluster's address in RAY_ADDRESS.

    Examples
    --------
    `beir-hybrid encode my-model --dataset miracl --shard $SLURM_ARRAY_TASK_ID/8`

    `beir-hybrid encode my-model --dataset miracl --merge`
    """
    if merge and shard:
        raise BadOption("--merge checks the parts of all jobs; leave out --shard")
    if shard and encoder.dtype == "auto":
        raise BadOption("all parts need one dtype: with --shard name float32 or mixed-bfloat16")
    check_model(model)
    check_dataset(dataset)
    from beir_hybrid.encoding import EncodingStats, as_encoder
    from beir_hybrid.encoding.engines import open_cluster, parallel_encoder
    from beir_hybrid.encoding.partition import ONLY_PART, Part, check_parts, encode_part
    from beir_hybrid.evaluation.dtype_choice import choose_dtype

    part = Part.parse(shard) if shard else ONLY_PART
    set_offline(load.offline)
    with open_cluster(engine) as cluster:
        plain_encoder = as_encoder(model, **list_changes(encoder))
        collection = load.load(dataset)
        with parallel_encoder(choose_dtype(plain_encoder, collection), cluster) as running_encoder:
            if merge:
                count = check_parts(running_encoder, collection)
                echo(f"{collection.name}: all {count:,} texts are encoded")
                return
            stats = EncodingStats()
            count = encode_part(running_encoder, collection, part, stats=stats)
    if not count:
        echo(
            f"{collection.name}: part {part} has no texts: there are too few for {part.total} parts"
        )
        return
    suffix = f" of part {part}" if shard else ""
    echo(f"{collection.name}: {stats.texts:,} texts{suffix} encoded in {stats.seconds:.1f} seconds")
