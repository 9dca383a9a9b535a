"""numpy, imported when it is first used.

ir-measures has to know the measures as soon as `beir_hybrid` is imported, and every command imports
that. numpy would make each of them wait, and most need none.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
else:

    class _LazyNumpy:
        """numpy's names; each use looks one up."""

        def __getattr__(self, name: str) -> object:
            return getattr(import_module("numpy"), name)

    np = _LazyNumpy()

__all__ = ["np"]
