"""Pyserini's catalogues of prebuilt indexes, which are fetched at the first look-up.

Pyserini 2 looks two indexes up when it is imported, so an import takes a network and five
downloads. Here these look-ups wait until somebody asks for a name.
"""

import io
import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

_MODULE = "pyserini.prebuilt_index_info"
_REPOSITORY = "/castorini/prebuilt-indexes/"
# What Pyserini looks up.
_INDEXES = ("msmarco-v1-passage.unicoil", "msmarco-v2-passage.unicoil-0shot")
_FIELDS = ("description", "urls", "md5", "size")


def import_catalogues() -> None:
    """Import the catalogues without a network; do nothing if they are imported or need none."""
    if _MODULE in sys.modules or find_spec(_MODULE) is None:
        return
    with _local_answers():
        import pyserini.prebuilt_index_info as catalogues
    if not hasattr(catalogues, "urlopen"):
        return  # Pyserini 1 has the catalogues in the package
    catalogues.urlopen = urllib.request.urlopen
    catalogues.IMPACT_INDEX_INFO_MSMARCO._info = None  # noqa: SLF001 - fetched when it is needed
    # The records of older names are those of newer names.
    records = catalogues.IMPACT_INDEX_INFO_MSMARCO_ALIASES
    names = {alias: record["filename"] for alias, record in records.items()}
    catalogues.IMPACT_INDEX_INFO._aliases.update(names)  # noqa: SLF001
    records.clear()


@contextmanager
def _local_answers() -> Iterator[None]:
    """Answer requests for a catalogue with the names that are looked up, for a while."""
    urlopen = urllib.request.urlopen
    catalogue = json.dumps(
        [{"name": name, "filename": name} | dict.fromkeys(_FIELDS) for name in _INDEXES]
    )

    def answer(url: Any, *args: Any, **options: Any) -> Any:
        if isinstance(url, str) and urlsplit(url).path.startswith(_REPOSITORY):
            return io.BytesIO(catalogue.encode())
        return urlopen(url, *args, **options)

    urllib.request.urlopen = answer
    try:
        yield
    finally:
        urllib.request.urlopen = urlopen
