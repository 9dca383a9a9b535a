"""Functions and their arguments in, their results out, from the machines of a Ray cluster.

Machines may come, go and die: what they worked on is done again elsewhere.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from beir_hybrid.errors import BadOption, BeirHybridError, ClusterFailed, MissingExtra

_PATIENCE = 900.0  # seconds in which something has to be finished
_DESERTED = 60.0  # seconds without any machine that could do it
_TRIES = 5  # times that a piece of work is begun anew when its machine dies
_ANSWER = 5.0  # seconds in which an address has to answer
_LOCAL = ("", "auto", "local")
# How HTTP/2 begins, which Ray speaks: each side sends its settings.
_SETTINGS_FRAME = b"\4"
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS_FRAME + bytes(5)
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray warns of otherwise
}


class Cluster:
    """A Ray cluster, for as long as the context lasts.

    It is the one that this process is connected to already, else that of the environment's
    ``RAY_ADDRESS``, else the cores of this machine.

    Parameters
    ----------
    patience
        Seconds in which something has to be finished, or the cluster is given up.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError as error:
            raise MissingExtra(
                "the engine 'ray' needs ray: pip install 'beir-hybrid[ray]'"
            ) from error

        self._ray: Any = ray
        self._opened = not ray.is_initialized()
        if self._opened:
            _connect(ray)
        there = self._ray.cluster_resources()
        self.cpus, self.gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        self.patience = patience
        self._last = time.monotonic()  # when something was begun or finished
        self._tasks: dict[tuple[Any, ...], Any] = {}
        self._given_up = ""  # why, if so: other threads need not find out for themselves

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened:
            self._ray.shutdown()

    def share(self, value: Any) -> Any:
        """Put a value where all machines can read it; give what stands for it as an argument."""
        return self._ray.put(value)

    def call(
        self, function: Callable[..., Any], *args: Any, gpu: bool = False, memory: int = 0
    ) -> Any:
        """Return the result of a function of some module; may be called from several threads.

        It gets one core, one GPU if it asks for one, and a machine with so many bytes of memory.
        """
        return self._first([self._begun(function, args, gpu, memory)])

    def each(
        self, function: Callable[..., Any], common: Any, jobs: Iterable[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """Yield the results of ``function(common, *job)`` as they come, in any order.

        Jobs are drawn one by one: there are never more than two a core.
        """
        shared = self.share(common)
        flying: list[Any] = []
        for job in jobs:
            if len(flying) >= 2 * max(1, self.cpus):
                yield self._first(flying)
            flying.append(self._begun(function, (shared, *job)))
        while flying:
            yield self._first(flying)

    def _begun(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        gpu: bool = False,
        memory: int = 0,
    ) -> Any:
        key = (function, gpu, memory)
        if key not in self._tasks:
            # A process with a GPU would end with its first call otherwise, and the model with it.
            options = {"num_cpus": 1, "num_gpus": int(gpu), "max_retries": _TRIES, "max_calls": 0}
            self._tasks[key] = self._ray.remote(**options, memory=memory)(function)
        if self._given_up:
            raise ClusterFailed(self._given_up)
        self._last = time.monotonic()
        return self._tasks[key].remote(*args)

    def _first(self, flying: list[Any]) -> Any:
        """Take the first result out of what is under way."""
        while not (done := self._ray.wait(flying, num_returns=1, timeout=1.0)[0]):
            self._check()
        flying.remove(done[0])
        self._last = time.monotonic()
        errors = self._ray.exceptions
        try:
            return self._ray.get(done[0], timeout=self.patience)
        except errors.RayTaskError as error:
            if isinstance(error.cause, BeirHybridError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            first = str(error).strip().partition("\n")[0]
            raise ClusterFailed(
                f"Ray gave up after {_TRIES} tries: {first}; what was finished is kept"
            ) from error

    def _check(self) -> None:
        """Raise `ClusterFailed` where waiting makes no sense."""
        if self._given_up:
            raise ClusterFailed(self._given_up)
        waited = time.monotonic() - self._last
        if waited < min(_DESERTED, self.patience):
            return
        there = self._ray.cluster_resources()
        kind = "GPU" if self.gpus and not there.get("GPU") else "CPU"
        if waited < self.patience and there.get(kind):
            return
        left = ", ".join(f"{int(there.get(name, 0))} {name}s" for name in ("CPU", "GPU"))
        self._given_up = (
            f"the Ray cluster finished nothing for {waited:.0f} seconds; it has {left} left; "
            "what was finished is kept, run again to go on"
        )
        raise ClusterFailed(self._given_up)


def _connect(ray: Any) -> None:
    """Connect to the cluster of the environment, or make one of this machine."""
    address = os.environ.get("RAY_ADDRESS", "")
    cure = "start one with 'ray start --head', or unset RAY_ADDRESS to use this machine alone"
    if address not in _LOCAL:
        _knock(address, cure)
    try:
        ray.init(
            address or "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ClusterFailed(
            f"no Ray cluster at {address or 'this machine'}: {first}; {cure}"
        ) from error


def _knock(address: str, cure: str) -> None:
    """Raise unless a cluster answers at an address: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise BadOption(f"RAY_ADDRESS is {address!r}; it must be HOST:PORT, or ray://HOST:PORT")
    reply = b""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER) as line:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            line.sendall(_HELLO)
            reply = line.recv(9)
    except (OSError, OverflowError) as error:
        raise ClusterFailed(f"no Ray cluster answers at {address}: {error}; {cure}") from error
    if reply[3:4] != _SETTINGS_FRAME:
        raise ClusterFailed(f"what answers at {address} is no Ray cluster; {cure}")
