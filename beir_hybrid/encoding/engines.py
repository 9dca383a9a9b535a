"""Encoders on several devices: all GPUs of this machine, or the machines of a Ray cluster."""

import json
import pickle
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from beir_hybrid.encoding.arithmetic import MIXED
from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.encoding.encoder import Encoder, EncoderWrapper, Role
from beir_hybrid.encoding.layouts import LAYOUTS
from beir_hybrid.encoding.sentence_transformer import SentenceTransformerEncoder
from beir_hybrid.errors import BadData, BadOption, lookup

if TYPE_CHECKING:
    from PIL.Image import Image

_CALL_TEXTS = 512  # texts of one call to a machine: little is lost when it dies
_ENGINES: dict[str, Callable[[], AbstractContextManager[Cluster | None]]] = {
    "local": nullcontext,
    "ray": Cluster,
}


def open_cluster(engine: str) -> AbstractContextManager[Cluster | None]:
    """Open the cluster of an engine: one for ``ray``, None for ``local``."""
    return lookup("engine", engine, _ENGINES)()


@contextmanager
def parallel_encoder(encoder: Encoder, cluster: Cluster | None = None) -> Iterator[Encoder]:
    """Give an encoder that works on a cluster or, without one, on all GPUs of this machine."""
    if cluster is not None:
        remote = RayEncoder(encoder, cluster)
        try:
            yield remote
        finally:
            remote.close()
    elif isinstance(encoder, SentenceTransformerEncoder) and len(gpus := _list_gpus(encoder)) > 1:
        local = MultiDeviceEncoder(encoder, gpus)
        try:
            yield local
        finally:
            local.close()
    else:
        yield encoder


def _list_gpus(encoder: SentenceTransformerEncoder) -> list[str]:
    """Return all GPUs if the model is on a GPU and may be on any device.

    Other processes would not know of the arithmetic of this one.
    """
    import torch

    may_use_all = encoder.may_change_device and encoder.model.device.type == "cuda"
    may_use_all &= encoder.options.dtype != MIXED
    return [f"cuda:{number}" for number in range(torch.cuda.device_count() * may_use_all)]


class MultiDeviceEncoder(EncoderWrapper):
    """A sentence-transformers model on several devices, with a process for each.

    The processes start with the first texts; until `close` the model is theirs.
    """

    def __init__(self, encoder: SentenceTransformerEncoder, devices: list[str]) -> None:
        super().__init__(encoder)
        self.fingerprint = encoder.fingerprint  # before the model moves
        self._encoder, self._devices = encoder, devices
        self._home = encoder.model.device

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of queries."""
        self._start()
        return super().encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of passages."""
        self._start()
        return super().encode_passages(texts)

    def encode_images(self, images: "Sequence[Image]") -> np.ndarray:
        """Return the vectors of images."""
        if self.reads_images:
            self._start()
        return super().encode_images(images)

    def _start(self) -> None:
        if self._encoder.pool is None:
            self._encoder.pool = self._encoder.model.start_multi_process_pool(self._devices)

    def close(self) -> None:
        """End the processes, and put the model back on its device."""
        if self._encoder.pool is not None:
            self._encoder.model.stop_multi_process_pool(self._encoder.pool)
            self._encoder.pool = None
            self._encoder.model.to(self._home)


class RayEncoder(EncoderWrapper):
    """An encoder on the GPUs of a Ray cluster, or on its cores if it has none.

    The encoder itself is sent, so the other machines need no files. Its fingerprint is made where
    the vectors are, and must be the same on all machines: another version of a library on one of
    them is an error.
    """

    def __init__(self, encoder: Encoder, cluster: Cluster) -> None:
        super().__init__(encoder)
        self._cluster = cluster
        n_calls = 2 * max(1, cluster.gpus or cluster.cpus)  # one at work, and one on its way
        self.concurrent_texts = n_calls * _CALL_TEXTS
        self._threads = ThreadPoolExecutor(n_calls)
        self._memory = 2 * encoder.weight_bytes
        try:
            self._reference = [cluster.share(encoder.copy_to_cpu())]
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            reason = error.__cause__ or error  # Ray's own message is a page
            raise BadOption(f"{self.name} cannot be sent to other machines: {reason}") from error

    @cached_property
    def fingerprint(self) -> Mapping[str, object]:
        """The fingerprint of the encoder on the cluster."""
        fingerprint: Mapping[str, object] = self._call("fingerprint", expected=None)
        return fingerprint

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of queries."""
        return LAYOUTS[self.family].stack(list(self._map_pieces("encode_queries", texts)))

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of passages."""
        return LAYOUTS[self.family].stack(list(self._map_pieces("encode_passages", texts)))

    def encode_batches(self, texts: Sequence[str], role: Role) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield the result of each call to a machine."""
        method = "encode_queries" if role == "queries" else "encode_passages"
        for number, vectors in enumerate(self._map_pieces(method, texts)):
            start = number * _CALL_TEXTS
            yield np.arange(start, min(start + _CALL_TEXTS, len(texts))), vectors

    @property
    def reads_images(self) -> bool:
        """Raise `BadOption`: images are files that other machines may lack."""
        raise BadOption("images are encoded on this machine only: leave out the engine 'ray'")

    def find_truncated(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the indexes of the texts that the model truncates; None if that is not known."""
        if self.encoder.find_truncated([], role) is None:  # spares the calls
            return None
        indexes: list[int] = []
        for number, piece_indexes in enumerate(self._map_pieces("find_truncated", texts, role)):
            if piece_indexes is None:
                return None
            indexes += [number * _CALL_TEXTS + i for i in piece_indexes]
        return indexes

    def close(self) -> None:
        """Begin no further calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _map_pieces(self, method: str, texts: Sequence[str], *arguments: object) -> Iterator[Any]:
        starts = range(0, len(texts), _CALL_TEXTS)
        pieces = [list(texts[start : start + _CALL_TEXTS]) for start in starts]
        call = partial(self._call, method, expected=_sorted_json(self.fingerprint))
        return self._threads.map(lambda piece: call(piece, *arguments), pieces)

    def _call(self, name: str, *arguments: object, expected: str | None) -> Any:
        uses_gpu = self._cluster.gpus > 0
        request = (self._reference, uses_gpu, expected, name, *arguments)
        return self._cluster.call(_call_encoder, *request, gpu=uses_gpu, memory=self._memory)


_ENCODERS: dict[str, Encoder] = {}  # in a process of a cluster: the encoder that it works with


def _call_encoder(
    reference: list[Any], uses_gpu: bool, expected: str | None, name: str, *arguments: object
) -> Any:
    """Call a method of an encoder in a process of a cluster; without arguments read a property.

    The reference is in a list, so that Ray does not replace it by the encoder for each call.
    """
    key = reference[0].hex()
    if key not in _ENCODERS:
        import ray

        _ENCODERS.clear()
        try:
            encoder: Encoder = ray.get(reference[0])
        except ray.exceptions.RaySystemError as error:
            reason = str(error).partition("\n")[0].removeprefix("System error: ")
            raise BadData(
                f"the encoder cannot be read on {platform.node()}: {reason}; the machines of the "
                "cluster need the same packages as this one"
            ) from error
        if uses_gpu:
            encoder.move_to("cuda")
        _ENCODERS[key] = encoder
    encoder = _ENCODERS[key]
    fingerprint = dict(encoder.fingerprint)
    if expected is not None and _sorted_json(fingerprint) != expected:
        raise BadData(_describe_difference(json.loads(expected), fingerprint))
    return getattr(encoder, name)(*arguments) if arguments else fingerprint


def _describe_difference(expected: Mapping[str, object], actual: Mapping[str, object]) -> str:
    name = next(name for name in expected if actual.get(name) != expected[name])
    return (
        f"machines of the cluster would make different vectors: {name} is {expected[name]} on one "
        f"and {actual.get(name)} on {platform.node()}; install the same there"
    )


def _sorted_json(fingerprint: Mapping[str, object]) -> str:
    return json.dumps(dict(fingerprint), sort_keys=True)
