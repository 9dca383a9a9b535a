"""Settings of the whole process that a ranking changes, and gives back when the last one ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class _Setting(Protocol):
    """A setting of the process."""

    def read(self) -> Any:
        """Return its value."""

    def write(self, value: Any) -> None:
        """Change its value."""


class _SharedSetting:
    """A setting that has one value as long as any thread holds it, and then the earlier one."""

    def __init__(self, setting: _Setting) -> None:
        self._setting = setting
        self._lock = threading.Lock()
        self._n_holders = 0
        self._earlier: Any = None

    @contextmanager
    def hold(self, value: Any) -> Iterator[None]:
        """Set a value while the block runs; all threads have to hold the same one."""
        with self._lock:
            if not self._n_holders:
                self._earlier = self._setting.read()
                self._setting.write(value)
            self._n_holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_holders -= 1
                if not self._n_holders:
                    self._setting.write(self._earlier)


class _TorchThreads:
    """How many threads an operation of torch uses."""

    def read(self) -> int:
        """Return the number."""
        import torch

        n_threads: int = torch.get_num_threads()
        return n_threads

    def write(self, value: int) -> None:
        """Change the number, for threads that begin later as well."""
        import torch

        torch.set_num_threads(value)


class _ProductPrecision:
    """The precision of products of float32 on a GPU."""

    def read(self) -> object:
        """Return what torch calls it."""
        switch, _ = _find_switch()
        value: object = getattr(_find_products(), switch)
        return value

    def write(self, value: object) -> None:
        """Change it."""
        switch, _ = _find_switch()
        setattr(_find_products(), switch, value)


def _find_products() -> Any:
    from torch.backends.cuda import matmul

    return matmul


def _find_switch() -> tuple[str, object]:
    """Return the name of torch's switch, and its value for float32."""
    # torch before 2.9 has the latter alone; reading that may fail where there are both.
    has_precision = hasattr(_find_products(), "fp32_precision")
    return ("fp32_precision", "ieee") if has_precision else ("allow_tf32", False)


_threads = _SharedSetting(_TorchThreads())
_precision = _SharedSetting(_ProductPrecision())


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Have each operation of torch use one thread while the block runs, in all threads."""
    with _threads.hold(1):
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Have GPUs multiply in float32 while the block runs, in all threads.

    A training may have allowed TF32 for the whole process. Its products are off by more than the
    margin within which `DeviceBlock` looks at exact scores.
    """
    _, full = _find_switch()
    with _precision.hold(full):
        yield
