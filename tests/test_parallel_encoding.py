"""Several threads or devices encode as one does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from beir_hybrid.encoding import EncodingStats, SentenceTransformerEncoder, encode
from beir_hybrid.encoding.engines import MultiDeviceEncoder
from beir_hybrid.errors import BadData
from tests.hash_encoder import SHARD_TEXTS, HashEncoder, assert_vectors, make_texts, read_files
from tests.numbered_collection import N_PASSAGES
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli  # noqa: F401 - fixtures


def test_calls_at_once_leave_the_files_of_one_after_another(tmp_path: Path) -> None:
    class ThreadedEncoder(HashEncoder):
        name = "HashEncoder"  # which the manifest of a space has
        concurrent_texts = 3 * SHARD_TEXTS

    stats = EncodingStats()
    vectors = encode(
        ThreadedEncoder(delay=0.05),
        make_texts(N_PASSAGES),
        "queries",
        folder=tmp_path / "a",
        stats=stats,
    )
    assert_vectors(vectors, make_texts(N_PASSAGES))
    assert stats.texts == N_PASSAGES
    encode(HashEncoder(), make_texts(N_PASSAGES), "queries", folder=tmp_path / "b")
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


def test_an_error_in_one_of_several_calls_keeps_what_was_finished(tmp_path: Path) -> None:
    class FailingEncoder(HashEncoder):
        concurrent_texts = 2 * SHARD_TEXTS

        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            if "text 3000" in texts:
                raise BadData("broken")
            return super().encode_queries(texts)

    with pytest.raises(BadData, match="broken"):
        encode(FailingEncoder(), make_texts(8 * SHARD_TEXTS), "queries", folder=tmp_path)
    next_encoder = HashEncoder()
    assert_vectors(
        encode(next_encoder, make_texts(8 * SHARD_TEXTS), "queries", folder=tmp_path),
        make_texts(8 * SHARD_TEXTS),
    )
    assert "text 0" not in next_encoder.encoded_texts
    assert "text 3000" in next_encoder.encoded_texts


def test_several_devices_give_the_rows_of_one() -> None:
    from tests.models import static_model

    encoder = SentenceTransformerEncoder(static_model(seed=3), query_prompt="w1 ")
    texts = [f"w{number % 90} w{number % 7}" for number in range(300)]
    expected, fingerprint = encoder.encode_queries(texts), dict(encoder.fingerprint)
    parallel = MultiDeviceEncoder(encoder, ["cpu", "cpu"])
    try:
        assert dict(parallel.fingerprint) == fingerprint
        rows = parallel.encode_queries(texts)
        assert len(encoder.pool["processes"]) == 2
        passages = parallel.encode_passages(texts)
    finally:
        parallel.close()
    assert np.array_equal(rows, expected)
    assert np.array_equal(passages, encoder.encode_passages(texts))
    assert not np.array_equal(passages, rows)
    assert encoder.pool is None
