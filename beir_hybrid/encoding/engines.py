"""An encoder in, the same encoder at work elsewhere out: on all GPUs of a machine, or on Ray."""

import copy
import json
import pickle
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any, NoReturn

import numpy as np

from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.encoding.encoder import Encoder, Role, SentenceTransformerEncoder
from beir_hybrid.errors import BadData, BadOption, lookup

_TEXTS = 512  # texts that a machine is given at a time: little is lost when it dies
_OPENED: dict[str, Callable[[], AbstractContextManager[Cluster | None]]] = {
    "local": nullcontext,
    "ray": Cluster,
}


def cluster_of(engine: str) -> AbstractContextManager[Cluster | None]:
    """Open what an engine works on: for ``ray`` a cluster, and nothing for ``local``."""
    return lookup("engine", engine, _OPENED)()


@contextmanager
def at_work(encoder: Encoder, cluster: Cluster | None = None) -> Iterator[Encoder]:
    """Give an encoder as it works on a cluster, or on all GPUs of this machine."""
    if cluster is not None:
        remote = RayEncoder(encoder, cluster)
        try:
            yield remote
        finally:
            remote.close()
    elif isinstance(encoder, SentenceTransformerEncoder) and (gpus := _gpus(encoder))[1:]:
        spread = DevicesEncoder(encoder, gpus)
        try:
            yield spread
        finally:
            spread.close()
    else:
        yield encoder


def _gpus(encoder: SentenceTransformerEncoder) -> list[str]:
    """Return all GPUs if a model was to be put on whatever device there is."""
    import torch

    free = encoder.anywhere and encoder.model.device.type == "cuda"
    return [f"cuda:{number}" for number in range(torch.cuda.device_count() * free)]


class DevicesEncoder:
    """A model of sentence-transformers on several devices, a process for each.

    The processes start with the first texts, and take the model from where it is until `close`.
    """

    def __init__(self, encoder: SentenceTransformerEncoder, devices: list[str]) -> None:
        self._encoder, self._devices, self._pool = encoder, devices, None
        self._home = encoder.model.device
        self.name, self.revision = encoder.name, encoder.revision
        self.fingerprint = encoder.fingerprint  # as the model is now

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query."""
        return self._started().encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage."""
        return self._started().encode_passages(texts)

    @property
    def encode_images(self) -> Callable[[Sequence[Any]], np.ndarray]:
        """What returns a row for each picture, if the model reads any."""
        encode = self._encoder.encode_images

        def spread(pictures: Sequence[Any]) -> np.ndarray:
            self._started()
            return encode(pictures)

        return spread

    def find_cut(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the places of the texts that are longer than the model reads."""
        return self._encoder.find_cut(texts, role)

    def _started(self) -> SentenceTransformerEncoder:
        if self._encoder.pool is None:
            self._encoder.pool = self._encoder.model.start_multi_process_pool(self._devices)
        return self._encoder

    def close(self) -> None:
        """End the processes, and put the model back."""
        if self._encoder.pool is not None:
            self._encoder.model.stop_multi_process_pool(self._encoder.pool)
            self._encoder.pool = None
            self._encoder.model.to(self._home)


class RayEncoder:
    """An encoder on the GPUs of a Ray cluster, or on its cores if it has none.

    The encoder itself travels, so that nothing else has to lie on the other machines. Its
    fingerprint is made where the vectors are, and is the same on all machines: another version of a
    library on one of them is an error.
    """

    def __init__(self, encoder: Encoder, cluster: Cluster) -> None:
        self._cluster = cluster
        self.name = getattr(encoder, "name", "") or type(encoder).__name__
        self.revision = getattr(encoder, "revision", "")
        self._finds_cut = hasattr(encoder, "find_cut")
        slots = 2 * max(1, cluster.gpus or cluster.cpus)  # one at work, and one on its way
        self.in_flight = slots * _TEXTS
        self._threads = ThreadPoolExecutor(slots)
        model: Any = getattr(encoder, "model", None)
        weights = model.state_dict().values() if hasattr(model, "state_dict") else ()
        self._memory = 2 * sum(tensor.nbytes for tensor in weights)
        try:
            self._model = [cluster.share(_portable(encoder))]
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            reason = error.__cause__ or error  # Ray's own message is a page
            raise BadOption(
                f"{type(encoder).__name__} cannot be sent to other machines: {reason}"
            ) from error

    @cached_property
    def fingerprint(self) -> Mapping[str, Any]:
        """That of the encoder there."""
        known: Mapping[str, Any] = self._call("fingerprint", wanted=None)
        return known

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each query."""
        return np.concatenate(self._spread("encode_queries", texts))

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row for each passage."""
        return np.concatenate(self._spread("encode_passages", texts))

    @property
    def encode_images(self) -> NoReturn:
        """Nothing: pictures lie in files that other machines may lack."""
        raise BadOption("pictures are encoded on this machine only: leave out the engine 'ray'")

    def find_cut(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Return the places of the texts that are longer than the model reads, if it tells."""
        if not self._finds_cut:
            return None
        found: list[int] = []
        for number, places in enumerate(self._spread("find_cut", texts, role)):
            if places is None:
                return None
            found += [number * _TEXTS + place for place in places]
        return found

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _spread(self, method: str, texts: Sequence[str], *more: Any) -> list[Any]:
        pieces = [list(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS)]
        call = partial(self._call, method, wanted=_json(self.fingerprint))
        return list(self._threads.map(lambda piece: call(piece, *more), pieces))

    def _call(self, name: str, *args: Any, wanted: str | None) -> Any:
        gpu = self._cluster.gpus > 0
        arguments = (self._model, gpu, wanted, name, *args)
        return self._cluster.call(_there, *arguments, gpu=gpu, memory=self._memory)


def _portable(encoder: Encoder) -> Encoder:
    """Return an encoder whose model is on no device that other machines may lack."""
    if not isinstance(encoder, SentenceTransformerEncoder):
        return encoder
    portable = copy.copy(encoder)
    portable.__dict__.pop("fingerprint", None)
    if encoder.model.device.type != "cpu":
        portable.model = copy.deepcopy(encoder.model).to("cpu")
    return portable


_HERE: dict[str, Encoder] = {}  # in a process of a cluster: the encoder that it works with


def _there(model: list[Any], gpu: bool, wanted: str | None, name: str, *args: Any) -> Any:
    """Call a method of an encoder, or read a property, in a process of a cluster."""
    reference = model[0]
    if reference.hex() not in _HERE:
        import ray

        _HERE.clear()
        try:
            encoder = ray.get(reference)
        except ray.exceptions.RaySystemError as error:
            reason = str(error).partition("\n")[0].removeprefix("System error: ")
            raise BadData(
                f"the encoder cannot be read on {platform.node()}: {reason}; the machines of the "
                "cluster need the same packages as this one"
            ) from error
        if gpu and isinstance(encoder, SentenceTransformerEncoder):
            encoder.model.to("cuda")
        _HERE[reference.hex()] = encoder
    encoder = _HERE[reference.hex()]
    found = dict(encoder.fingerprint)
    if wanted is not None and _json(found) != wanted:
        raise BadData(_difference(json.loads(wanted), found))
    return getattr(encoder, name)(*args) if args else found


def _difference(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    name = next(name for name in wanted if found.get(name) != wanted[name])
    return (
        f"machines of the cluster would make different vectors: {name} is {wanted[name]} on one "
        f"and {found.get(name)} on {platform.node()}; install the same there"
    )


def _json(fingerprint: Mapping[str, Any]) -> str:
    return json.dumps(dict(fingerprint), sort_keys=True)
