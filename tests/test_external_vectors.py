"""Vectors of other tools have the values of the encoder that made them."""
# mypy: allow-untyped-calls

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.external_vectors import read_vectors
from tests.test_external_runs import RANK_MEASURES, RUN_MEASURES, assert_equal, make_collection
from tests.word_encoder import WordCountEncoder

Change = Callable[[np.ndarray, list[str]], tuple[np.ndarray, list[str]]]


def write_vectors(
    folder: Path, collection: Collection, change: Change | None = None, role: str = "passages"
) -> Path:
    """Write a collection's vectors in random order."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(1)
    for name, table in (("queries", collection.queries), ("passages", collection.passages)):
        order = draw.permutation(len(table))
        rows = WordCountEncoder().encode_queries(table["text"].to_pylist())[order]
        ids = [table["id"][at].as_py() for at in order.tolist()]
        if change and name == role:
            rows, ids = change(rows, ids)
        np.save(folder / f"{name}.npy", rows)
        (folder / f"{name}.txt").write_text("".join(f"{key}\n" for key in ids))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda read_values, ids: (read_values.astype(np.float16), ids),
        lambda read_values, ids: (read_values.astype(">f8"), ids),
        lambda read_values, ids: (read_values.astype(np.int8), ids),
        lambda read_values, ids: (np.asfortranarray(read_values), ids),
        lambda read_values, ids: (read_values, [f"{key}\r" for key in ids]),
    ],
)
def test_vectors_have_the_values_of_their_encoder(tmp_path: Path, change: Change | None) -> None:
    collection = make_collection()
    vectors = read_vectors(write_vectors(tmp_path / "mine", collection, change), collection)
    results = evaluate(vectors, collection, measures=RUN_MEASURES + RANK_MEASURES, depth=9)
    assert_equal(
        results,
        evaluate(WordCountEncoder(), collection, measures=RUN_MEASURES + RANK_MEASURES, depth=9),
    )
    assert results.model == "mine"
    assert results.timing.encoded_texts == 0


def _add_nan(read_values: np.ndarray, ids: list[str]) -> tuple[np.ndarray, list[str]]:
    read_values[3, 2] = np.nan
    return read_values, ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda read_values, ids: (read_values[1:], ids[1:]),
            "passages.txt has 59 ids in 59 lines; wanted 60",
        ),
        (
            lambda read_values, ids: (np.vstack([read_values, read_values[:1]]), [*ids, "de:99"]),
            "passages.txt has 61 ids in 61 lines; wanted 60",
        ),
        (
            lambda read_values, ids: (read_values, [ids[1], *ids[1:]]),
            "passages.txt has 59 ids in 60 lines; wanted 60",
        ),
        (
            lambda read_values, ids: (
                read_values,
                ["de:99" if key == "th:4" else key for key in ids],
            ),
            "passages.txt lacks 1 passages, first 'th:4'",
        ),
        (
            lambda read_values, ids: (read_values[1:], ids),
            r"passages.npy: .* shape \(59, 12\); expected \(60,",
        ),
        (
            lambda read_values, ids: (read_values[:, 0], ids),
            r"passages.npy: .* shape \(60,\); expected \(60,",
        ),
        (
            lambda read_values, ids: (read_values[:, 1:], ids),
            "queries have 12 dimensions and passages 11",
        ),
        (_add_nan, "passages.npy: 1 of 60 embeddings hold NaN or infinity, first row 3"),
        (
            lambda read_values, ids: (read_values.astype(object), ids),
            "passages.npy is no array of numbers: ",
        ),
        (
            lambda read_values, ids: (read_values.astype(str), ids),
            "passages.npy holds <U32, no numbers",
        ),
    ],
)
def test_vectors_that_do_not_fit_the_collection_are_refused(
    tmp_path: Path, change: Change, message: str
) -> None:
    collection = make_collection()
    with pytest.raises(BadData, match=message):
        evaluate(
            read_vectors(write_vectors(tmp_path / "v", collection, change), collection), collection
        )


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    collection = make_collection()
    folder = write_vectors(tmp_path / "v", collection)
    content = (folder / "queries.npy").read_bytes()
    for damaged in (content[:-8], content[:50], b"", b"\x80\x04N."):
        (folder / "queries.npy").write_bytes(damaged)
        with pytest.raises(BadData, match=r"queries\.npy is no array of numbers: "):
            read_vectors(folder, collection)
    with (folder / "queries.npy").open("wb") as file:
        np.savez(file, rows=np.ones((18, 2)))
    with pytest.raises(BadData, match=r"queries\.npy is no array of numbers: "):
        read_vectors(folder, collection)
    (folder / "queries.npy").write_bytes(content)
    (folder / "queries.txt").write_bytes(b"\xff\n" * 18)
    with pytest.raises(BadData, match=r"queries\.txt is not UTF-8"):
        read_vectors(folder, collection)
    (folder / "queries.txt").unlink()
    with pytest.raises(BadData, match=r"lacks queries\.txt: it takes queries\.npy and queries"):
        read_vectors(folder, collection)


def test_vectors_of_another_collection_are_refused(tmp_path: Path) -> None:
    vectors = read_vectors(write_vectors(tmp_path / "v", make_collection()), make_collection())
    with pytest.raises(BadData, match="18 vectors for other's 12 queries"):
        evaluate(vectors, make_collection(("de", "en"), "other"))
    with pytest.raises(BadOption, match=r"options \['batch_size'\] do not apply to vectors"):
        evaluate(vectors, make_collection(), batch_size=2)


def test_the_order_of_ids_is_a_part_of_the_model(tmp_path: Path) -> None:
    collection = make_collection()
    folder = write_vectors(tmp_path / "mine", collection)
    first = read_vectors(folder, collection)
    ids = folder / "queries.txt"
    rows = ids.read_text().splitlines(keepends=True)
    ids.write_text("\ufeff" + "".join(rows), "utf-8")  # a byte-order mark is no part of an id
    assert len(read_vectors(folder, collection).queries) == len(first.queries)
    ids.write_text("".join([rows[1], rows[0], *rows[2:]]))
    assert read_vectors(folder, collection).model.fingerprint != first.model.fingerprint


def test_the_name_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = make_collection()
    monkeypatch.chdir(write_vectors(tmp_path / "mine", collection))
    assert read_vectors(".", collection).model.name == "mine"
