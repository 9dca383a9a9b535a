"""Pyserini's prebuilt indexes have their names, though importing Pyserini takes no network."""

import json
import urllib.request
from importlib.metadata import version

import pytest

from beir_hybrid.pyserini.catalogues import _local_answers
from beir_hybrid.pyserini.java import start_java
from tests.http_server import serve_files

IS_PYSERINI_1 = version("pyserini").startswith("1.")
NAMES = {
    "msmarco-passage-unicoil-d2q": "msmarco-v1-passage.unicoil",
    "msmarco-v2-passage-unicoil-0shot": "msmarco-v2-passage.unicoil-0shot",
}


@pytest.mark.skipif(IS_PYSERINI_1, reason="Pyserini 1 has the catalogues in the package")
def test_catalogues_are_fetched_when_an_index_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    start_java()
    from pyserini.prebuilt_index_info import IMPACT_INDEX_INFO, IMPACT_INDEX_INFO_MSMARCO

    records = [
        {"name": name, "md5": f"md5 of {name}", "filename": f"{name}.tar.gz", "size": 8}
        | {"description": name, "urls": [], "documents": 3}
        for name in NAMES.values()
    ]
    with serve_files({"/impact.json": json.dumps(records).encode()}) as server:
        monkeypatch.setattr(IMPACT_INDEX_INFO_MSMARCO, "_urls", (f"{server.url}/impact.json",))
        monkeypatch.setattr(IMPACT_INDEX_INFO_MSMARCO, "_info", None)
        for alias, name in NAMES.items():
            assert IMPACT_INDEX_INFO[alias]["md5"] == f"md5 of {name}"
            assert IMPACT_INDEX_INFO[alias] == IMPACT_INDEX_INFO[name]
        assert len(server.requests) == 1


@pytest.mark.skipif(not IS_PYSERINI_1, reason="Pyserini 2 fetches its catalogues")
def test_catalogues_of_the_package_stay_as_they_are() -> None:
    start_java()
    from pyserini.prebuilt_index_info import IMPACT_INDEX_INFO

    for alias, name in NAMES.items():
        assert IMPACT_INDEX_INFO[alias] == IMPACT_INDEX_INFO[name]
        assert len(IMPACT_INDEX_INFO[alias]["md5"]) == 32


def test_other_addresses_are_fetched_during_the_import() -> None:
    urlopen = urllib.request.urlopen
    with serve_files({"/prebuilt-indexes/x": b"theirs"}) as server, _local_answers():
        assert urllib.request.urlopen is not urlopen
        address = f"{server.url}/prebuilt-indexes/x"
        with urllib.request.urlopen(address) as response:  # noqa: S310 - our own server
            assert response.read() == b"theirs"
    assert urllib.request.urlopen is urlopen
