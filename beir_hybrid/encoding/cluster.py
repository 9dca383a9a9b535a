"""Call functions on the machines of a Ray cluster, which may come, go and die.

The work of a machine that dies is done again on another one.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from beir_hybrid.errors import BadOption, BeirHybridError, ClusterFailed, MissingExtra

_PATIENCE = 900.0  # seconds within which some call has to finish
_EMPTY_PATIENCE = 60.0  # the same while the cluster has no machine that could do the work
_TRIES = 5  # how often a call is started again when its machine dies
_CONNECT_TIMEOUT = 5.0  # seconds within which an address has to answer
_LOCAL_ADDRESSES = ("", "auto", "local")
# The start of HTTP/2, which Ray speaks: each side sends its settings.
_SETTINGS_FRAME = b"\4"
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS_FRAME + bytes(5)
_RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without this Ray warns
}


class Cluster:
    """A Ray cluster, for as long as the context lasts.

    It is the one that this process is connected to already, else that of the environment's
    ``RAY_ADDRESS``, else the cores of this machine.

    Parameters
    ----------
    patience
        Seconds within which some call has to finish; otherwise the cluster is given up.
    """

    def __init__(self, patience: float = _PATIENCE) -> None:
        for name, value in _RAY_SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError as error:
            raise MissingExtra(
                "the engine 'ray' needs ray: pip install 'beir-hybrid[ray]'"
            ) from error

        self._ray: Any = ray
        self._is_own = not ray.is_initialized()
        if self._is_own:
            _connect(ray)
        resources = self._ray.cluster_resources()
        self.cpus, self.gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        self.patience = patience
        self._last_progress = time.monotonic()  # when a call was last started or finished
        self._tasks: dict[tuple[object, ...], Any] = {}
        self._failure = ""  # the reason, once the cluster is given up; other threads read it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_own:
            self._ray.shutdown()

    def share(self, value: object) -> Any:
        """Send a value to all machines; return a reference to pass as argument."""
        return self._ray.put(value)

    def call(
        self,
        function: Callable[..., Any],
        *arguments: object,
        gpu: bool = False,
        memory: int = 0,
    ) -> Any:
        """Return the result of a module-level function; several threads may call this.

        The function gets one core, one GPU if `gpu`, and a machine with `memory` bytes to spare.
        """
        return self._take_first([self._submit(function, arguments, gpu, memory)])

    def map_unordered(
        self, function: Callable[..., Any], common: object, jobs: Iterable[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """Yield the results of ``function(common, *job)`` as they come, in any order.

        Jobs are drawn one by one: there are never more than two a core.
        """
        shared = self.share(common)
        pending: list[Any] = []
        for job in jobs:
            if len(pending) >= 2 * max(1, self.cpus):
                yield self._take_first(pending)
            pending.append(self._submit(function, (shared, *job)))
        while pending:
            yield self._take_first(pending)

    def _submit(
        self,
        function: Callable[..., Any],
        arguments: tuple[object, ...],
        gpu: bool = False,
        memory: int = 0,
    ) -> Any:
        key = (function, gpu, memory)
        if key not in self._tasks:
            # By default a process with a GPU ends with its first call, and the model with it.
            options = {"num_cpus": 1, "num_gpus": int(gpu), "max_retries": _TRIES, "max_calls": 0}
            self._tasks[key] = self._ray.remote(**options, memory=memory)(function)
        if self._failure:
            raise ClusterFailed(self._failure)
        self._last_progress = time.monotonic()
        return self._tasks[key].remote(*arguments)

    def _take_first(self, pending: list[Any]) -> Any:
        """Wait for the first pending call to finish; remove the call and return its result."""
        while not (finished := self._ray.wait(pending, num_returns=1, timeout=1.0)[0]):
            self._check_progress()
        pending.remove(finished[0])
        self._last_progress = time.monotonic()
        errors = self._ray.exceptions
        try:
            return self._ray.get(finished[0], timeout=self.patience)
        except errors.RayTaskError as error:
            if isinstance(error.cause, BeirHybridError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise ClusterFailed(
                f"Ray gave up after {_TRIES} tries: {reason}; what was finished is kept"
            ) from error

    def _check_progress(self) -> None:
        """Raise `ClusterFailed` if nothing has finished for too long."""
        if self._failure:
            raise ClusterFailed(self._failure)
        waited = time.monotonic() - self._last_progress
        if waited < min(_EMPTY_PATIENCE, self.patience):
            return
        resources = self._ray.cluster_resources()
        kind = "GPU" if self.gpus and not resources.get("GPU") else "CPU"
        if waited < self.patience and resources.get(kind):
            return
        counts = ", ".join(f"{int(resources.get(name, 0))} {name}s" for name in ("CPU", "GPU"))
        self._failure = (
            f"the Ray cluster finished nothing for {waited:.0f} seconds; it has {counts} left; "
            "what was finished is kept, run again to go on"
        )
        raise ClusterFailed(self._failure)


def _connect(ray: Any) -> None:
    """Connect to the cluster of the environment, or start one on this machine."""
    address = os.environ.get("RAY_ADDRESS", "")
    cure = "start one with 'ray start --head', or unset RAY_ADDRESS to use this machine alone"
    if address not in _LOCAL_ADDRESSES:
        _check_address(address, cure)
    try:
        ray.init(
            address or "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ClusterFailed(
            f"no Ray cluster at {address or 'this machine'}: {reason}; {cure}"
        ) from error


def _check_address(address: str, cure: str) -> None:
    """Raise unless a cluster answers at an address: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise BadOption(f"RAY_ADDRESS is {address!r}; it must be HOST:PORT, or ray://HOST:PORT")
    reply = b""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT) as line:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            line.sendall(_GREETING)
            reply = line.recv(9)
    except (OSError, OverflowError) as error:
        raise ClusterFailed(f"no Ray cluster answers at {address}: {error}; {cure}") from error
    if reply[3:4] != _SETTINGS_FRAME:
        raise ClusterFailed(f"what answers at {address} is no Ray cluster; {cure}")
