"""Products of a GPU in full precision, whatever a training has set."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_earlier: list[object] = []  # an entry for each block of `full_precision` that runs


@contextmanager
def full_precision() -> Iterator[None]:
    """Have GPUs multiply in float32 while the block runs, in all threads.

    A training may have allowed TF32 for the whole process. Its products are off by more than the
    margin within which `DeviceBlock` looks at exact scores. The first of several threads switches
    it off, and the last one on again.
    """
    from torch.backends.cuda import matmul

    # torch before 2.9 has the latter alone; reading that may fail where there are both.
    has_precision = hasattr(matmul, "fp32_precision")
    switch, full = ("fp32_precision", "ieee") if has_precision else ("allow_tf32", False)
    with _lock:
        is_first = not _earlier
        _earlier.append(getattr(matmul, switch) if is_first else full)
        if is_first:
            setattr(matmul, switch, full)
    try:
        yield
    finally:
        with _lock:
            earlier = _earlier.pop()
            if not _earlier:  # the last thread has what the first one saw
                setattr(matmul, switch, earlier)
