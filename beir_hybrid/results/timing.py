"""The timing of results: when, where and how fast they were made, and by which request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from beir_hybrid.records import json_key
from beir_hybrid.results.machine import Machine, describe_machine
from beir_hybrid.results.request import Request


@dataclass(frozen=True)
class ClusterSize:
    """The cores and GPUs of a Ray cluster."""

    cores: float
    gpus: float


@dataclass(frozen=True)
class Timing:
    """When, where and how fast results were made, and how model and data were named.

    This is what differs between two runs of the same evaluation, so it has a file of its own.

    Attributes
    ----------
    date
        In UTC; empty where the file is missing.
    engine
        Where vectors were computed: ``local`` or ``ray``.
    seconds
        By step.
    encoded_texts, encoded_images, reranked_pairs
        How many the model computed, and did not find in the store.
    """

    date: str = field(default="", metadata=json_key("date", omit_empty=True))
    engine: str | None = None
    cluster: ClusterSize | None = None
    seconds: Mapping[str, float] = field(
        default_factory=dict, metadata=json_key("seconds", omit_empty=True)
    )
    encoded_texts: int | None = field(default=None, metadata=json_key("texts encoded"))
    encoded_images: int | None = field(default=None, metadata=json_key("pictures encoded"))
    reranked_pairs: int | None = field(default=None, metadata=json_key("pairs reranked"))
    machine: Machine | None = None
    request: Request | None = field(default=None, metadata=json_key("given"))


def build_timing(
    request: Request,
    seconds: Mapping[str, float] | None = None,
    *,
    engine: str | None = None,
    cluster: ClusterSize | None = None,
    encoded_texts: int | None = None,
    encoded_images: int | None = None,
    reranked_pairs: int | None = None,
) -> Timing:
    """Return the timing of new results, dated today; see `Timing`.

    The machine is described where there are seconds.
    """
    return Timing(
        date=datetime.now(UTC).date().isoformat(),
        engine=engine,
        cluster=cluster,
        seconds={step: round(spent, 3) for step, spent in (seconds or {}).items()},
        encoded_texts=encoded_texts,
        encoded_images=encoded_images,
        reranked_pairs=reranked_pairs,
        machine=describe_machine() if seconds else None,
        request=request,
    )
