"""Parallel pairs: reading, rows, hard negatives, subsets and joins; nothing is lost silently."""

import json
import logging
import pickle
import time
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beir_hybrid as bh
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.labels import hash_texts
from beir_hybrid.pairs.reading import (
    pairs_from_bitext,
    pairs_from_collection,
    pairs_from_groups,
    read_pairs,
)
from beir_hybrid.pairs.row_codes import SampledRow

GROUPS: list[dict[str, Any]] = [
    {
        "id": "a",
        "query": {"de": "Wer?", "en": "Who?"},
        "positive": {"de": "Ada.", "en": "Ada.", "th": "เอดา"},
        "negative": {"de": ["Bob.", "Cy."], "en": ["Bob."], "th": ["บ๊อบ"]},
    },
    {
        "id": "b",
        "query": {"en": "When?", "th": "เมื่อไร"},
        "positive": {"th": "1843"},
        "negative": {"th": ["1842", "1844"]},
    },
]


def hash_text(text: str) -> int:
    """Return the 64-bit FNV-1a hash with a mixed end, in plain Python."""
    state, mask = 0xCBF29CE484222325, (1 << 64) - 1
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 & mask
    state ^= state >> 33
    state = state * 0xFF51AFD7ED558CCD & mask
    return (state ^ (state >> 33)) >> 1


def test_hashes_of_texts() -> None:
    texts = ["", "a", "Ada.", "เอดา", "x" * 1000, None, "a"]
    column = pa.chunked_array([texts[:3], texts[3:]], pa.string())
    expected = [-1 if text is None else hash_text(text) for text in texts]
    assert hash_texts(column).tolist() == expected
    sliced = pa.chunked_array([pa.array(texts).slice(2, 4)])
    assert hash_texts(sliced).tolist() == expected[2:6]
    assert hash_texts(pa.chunked_array([], pa.string())).tolist() == []


def test_rows_by_hand() -> None:
    pairs = pairs_from_groups(GROUPS)
    assert (len(pairs), pairs.languages) == (2, ("de", "en", "th"))
    code = pairs.row_codes.encode(0, 1, 2)  # Who?, and the Thai answer
    assert pairs.decode_row(int(code)) == SampledRow(0, "en", "th")
    (row,) = pairs.__getitems__([int(code)])
    ada, thai, year = hash_text("Ada."), hash_text("เอดา"), hash_text("1843")
    de, en, th = map(hash_text, pairs.languages)
    golds = [ada, ada, thai]
    assert row == {"anchor": "Who?", "positive": "เอดา", "label": [thai, *golds, -3, en, th]}
    assert list(row) == pairs.column_names == list(pairs.features)
    # A plain index is the first language that has both, or else the first of each.
    assert pairs[0] == {"anchor": "Wer?", "positive": "Ada.", "label": [ada, *golds, -3, de, de]}
    assert pairs[-1] == {
        "anchor": "เมื่อไร", "positive": "1843", "label": [year, -1, -1, year, -3, th, th],
    }  # fmt: skip
    assert pairs["anchor"] == ["Wer?", "เมื่อไร"]
    assert pairs[:1]["positive"] == ["Ada."]
    with pytest.raises(IndexError, match="20 is no number of these 2 groups in 3 languages"):
        pairs.__getitems__([20])


def test_hard_negatives() -> None:
    pairs = pairs_from_groups(GROUPS, negatives=2)
    assert pairs.column_names == ["anchor", "positive", "negative_1", "negative_2", "label"]
    rows = pairs.__getitems__(
        [int(pairs.row_codes.encode(0, 0, 0)), int(pairs.row_codes.encode(0, 0, 1))]
    )
    assert [(row["negative_1"], row["negative_2"]) for row in rows] == [
        ("Bob.", "Cy."),
        ("Bob.", "Bob."),  # repeated
    ]
    ada, thai, bob, cy, de, en = map(hash_text, ("Ada.", "เอดา", "Bob.", "Cy.", "de", "en"))
    assert rows[0]["label"] == [ada, ada, ada, thai, -2, bob, cy, -3, de, de]
    assert rows[1]["label"] == [ada, ada, ada, thai, -2, bob, bob, -3, de, en]


def test_translations() -> None:
    pairs = pairs_from_groups(GROUPS).with_translations()
    places = np.array([(0, 0, 0), (0, 0, 1), (1, 2, 2), (1, 1, 2)])
    rows = pairs.__getitems__(pairs.row_codes.encode(*places.T).tolist())
    assert [row["translation"] for row in rows] == ["Who?", "Who?", "When?", "เมื่อไร"]
    de, en, th = map(hash_text, pairs.languages)
    assert [row["label"][4:] for row in rows] == [
        [-3, de, de, en], [-3, de, en, en], [-3, th, th, en], [-3, en, th, th],
    ]  # fmt: skip
    assert list(rows[0]) == pairs.column_names
    assert "translation" not in pairs_from_groups(GROUPS).column_names


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_reading_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"groups.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(GROUPS), path)
    else:
        import gzip

        open_text = gzip.open if kind.endswith("gz") else open
        with open_text(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(group) + "\n" for group in GROUPS)
    for _ in range(2):  # converted, and then from the cache
        pairs = read_pairs(path, negatives=1)
        expected = pairs_from_groups(GROUPS, negatives=1)
        assert pairs.languages == expected.languages
        codes = [int(pairs.row_codes.encode(0, q, p)) for q in range(2) for p in range(3)]
        assert pairs.__getitems__(codes) == expected.__getitems__(codes)
        assert pairs.sources == (("groups", 2),)
    assert len(list((tmp_path / "cache" / "pairs").glob("[!.]*"))) == 1


def test_pairs_of_a_collection() -> None:
    corpus = {f"{lang}:{i}": {"text": f"{lang}{i}"} for lang in ("de", "en") for i in range(4)}
    qrels = {
        "de:q:1": {"de:0": 1, "en:0": 1, "en:1": 1, "en:3": 0},
        "en:q:1": {"de:0": 1, "en:0": 1, "en:1": 1},
        "en:q:2": {"en:2": 1},
    }
    queries = {"de:q:1": "frage", "en:q:1": "question", "en:q:2": "other"}
    groups = {"de:q:1": "one", "en:q:1": "one", "en:q:2": "two"}
    collection = bh.from_beir(corpus, queries, qrels, groups=groups)
    pairs = pairs_from_collection(collection)
    # Two English passages answer "one": a group for each, of which the second is English alone.
    assert pairs.groups.has_query.tolist() == [[True, True], [True, True], [False, True]]
    assert pairs.groups.has_passage.tolist() == [[True, True], [False, True], [False, True]]
    row = pairs.__getitems__([int(pairs.row_codes.encode(1, 0, 1))])[0]
    de0, en0, en1 = hash_text("de0"), hash_text("en0"), hash_text("en1")
    assert (row["anchor"], row["positive"]) == ("frage", "en1")
    # What answers the query: by language in this group, and the rest.
    de, en = hash_text("de"), hash_text("en")
    assert row["label"] == [en1, -1, en1, de0, en0, -3, de, en]
    assert pairs.groups.gold_hashes[0].tolist() == [de0, en0, en1, -1]
    subset = pairs_from_collection(collection, queries=["two"])
    assert subset[0]["anchor"] == "other"
    with pytest.raises(BadData, match="none of the queries"):
        pairs_from_collection(collection, queries=["three"])


def test_bitext_and_monolingual_pairs() -> None:
    pairs = pairs_from_bitext({"de": ["eins", "zwei"], "en": ["one", None]})
    assert pairs.__getitems__([int(pairs.row_codes.encode(0, 0, 1))])[0]["positive"] == "one"
    assert pairs.groups.has_query.tolist() == [[True, True], [True, False]]
    with pytest.raises(BadData, match=r"as many lines each, these have \{'de': 1, 'en': 2\}"):
        pairs_from_bitext({"de": ["x"], "en": ["x", "y"]})
    english = pairs_from_groups([{"query": "Who?", "positive": "Ada."}], language="eng-Latn")
    assert english.languages == ("en",)


def test_sources_are_joined() -> None:
    first, second = (
        pairs_from_groups(GROUPS, name="first"),
        pairs_from_groups(GROUPS[1:], name="second"),
    )
    pairs = join_pairs([first, second])
    assert (len(pairs), pairs.sources) == (3, (("first", 2), ("second", 1)))
    year, thai = hash_text("1843"), hash_text("th")
    assert pairs[2] == {**second[0], "label": [year, -1, -1, year, -3, thai, thai]}
    with pytest.raises(BadData, match="two sources are called 'first'"):
        join_pairs([first, first])
    with pytest.raises(BadData, match=r"different numbers of hard negatives: \[0, 1\]"):
        join_pairs([first, pairs_from_groups(GROUPS, negatives=1, name="x")])
    with pytest.raises(BadOption, match="no pairs are named"):
        join_pairs([])


def test_problems_are_counted_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    groups = [
        {"query": {"de": "a", "en": "  "}, "positive": {"de": "b"}, "negative": {"de": ["b", "c"]}},
        {"query": {"de": "d"}, "positive": {"de": "e", "en": ""}, "negative": {"de": ["f"]}},
    ]
    with caplog.at_level(logging.WARNING):
        pairs = pairs_from_groups(groups, negatives=1, name="mine")
    assert [record.getMessage() for record in caplog.records] == [
        "mine: 2 blank texts are taken for missing translations, first in group '0'",
        (
            "mine: 1 hard negatives are passages of their query, and are left out, "
            "first in group '0'"
        ),
    ]
    assert pairs[0]["negative_1"] == "c"
    assert pairs.groups.has_query.tolist() == [[True], [True]]


def test_hard_negatives_of_other_languages_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    group = {
        "query": {"en": "q"}, "positive": {"en": "p"},
        "negative": {"en": ["n"], "fr": ["r"], "de": []},
    }  # fmt: skip
    assert pairs_from_groups([group], negatives=1)[0]["negative_1"] == "n"
    (message,) = caplog.messages
    assert "1 groups have hard negatives in languages without a passage" in message


def test_scripts_of_a_collection_stay(tmp_path: Path) -> None:
    rows = [
        {"passage": "p", "text": {"zh-Hans": "边", "zh-Hant": "邊"}},
        {"query": "q", "text": {"zh-Hans": "哪边", "zh-Hant": "哪邊"}, "relevant": ["p"]},
    ]
    path = tmp_path / "scripts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = bh.pairs_from_collection(bh.read_jsonl(path, variants=True))
    assert pairs.languages == ("zh-Hans", "zh-Hant")
    row = pairs.__getitems__([int(pairs.row_codes.encode(0, 0, 1))])[0]
    assert (row["anchor"], row["positive"]) == ("哪边", "邊")


def test_a_negative_that_answers_in_another_language_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = {
        "id": "x", "query": {"de": "q", "en": "q"}, "positive": {"de": "A", "en": "B"},
        "negative": {"de": ["B", "C"], "en": ["D"]},
    }  # fmt: skip
    pairs = pairs_from_groups([group], negatives=1)
    assert pairs[0]["negative_1"] == "C"
    (record,) = caplog.records
    assert record.getMessage() == (
        "pairs: 1 hard negatives are passages of their query, and are left out, first in group 'x'"
    )


def test_problems_are_warned_of_again_from_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"query": {"de": "a", "en": " "}, "positive": {"de": "b"}}\n')
    for name in ("", "yours"):
        caplog.clear()
        read_pairs(path, name=name)
        assert [record.getMessage() for record in caplog.records] == [
            (
                f"{name or 'mine'}: 1 blank texts are taken for missing translations, "
                "first in group '0'"
            )
        ]


@pytest.mark.parametrize("damage", ["truncated", "missing", "bit", "facts"])
def test_a_damaged_cache_is_rebuilt(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(group) + "\n" for group in GROUPS))
    expected = list(read_pairs(path, negatives=1))
    (table,) = (tmp_path / "cache").rglob("*.arrow")
    if damage == "truncated":
        table.write_bytes(table.read_bytes()[:50])
    elif damage == "missing":
        table.unlink()
    elif damage == "bit":
        table.write_bytes(table.read_bytes().replace(b"Ada.", b"Ida."))
    else:
        (table.parent / "facts.json").write_text("{")
    assert list(read_pairs(path, negatives=1)) == expected
    assert table.exists()


def test_languages_to_keep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    groups = [*GROUPS, {**GROUPS[0], "id": "c", "positive": {"th": "เอดา"}}]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(group) + "\n" for group in groups))
    message = "1 groups are left out, without query or passage in these languages, first in group"
    factories: Any = (
        ("pairs", pairs_from_groups, groups),
        ("mine", read_pairs, path),
        ("mine", read_pairs, path),
    )
    ada, en = hash_text("Ada."), hash_text("en")
    for name, factory, source in factories:
        make = partial(factory, source)
        caplog.clear()
        pairs = make(languages=["tha", "en"], negatives=1)
        assert [pairs.languages, len(pairs), len(pairs[2:]["anchor"])] == [("en", "th"), 3, 1]
        assert pairs[0] == {
            "anchor": "Who?", "positive": "Ada.", "negative_1": "Bob.",
            "label": [ada, ada, hash_text("เอดา"), -2, hash_text("Bob."), -3, en, en],
        }  # fmt: skip
        (message_of_c,) = caplog.messages  # whose negative is English, and whose passage is not
        assert "1 groups have hard negatives in languages without a passage" in message_of_c
        caplog.clear()
        # Of "b" the query is in English and the passage is not, as of "c".
        subset = make(languages=["en", "de"])
        assert (subset.languages, len(subset)) == (("de", "en"), 1)
        unused, record = sorted(caplog.messages)
        assert record == f"{name}: {message.replace('1', '2')} 'b'"
        assert unused.endswith(
            "groups have hard negatives that are left out; negatives=1 (or more) uses them, "
            "first in group 'a'"
        )
        with pytest.raises(BadOption, match=r"no language of the groups is 'fr'; there are .*de"):
            make(languages=["de", "fr"])
    folders = {folder.name for folder in (tmp_path / "cache" / "pairs").glob("[!.]*")}
    assert len(folders) == 2


def test_blank_lines_of_bitext_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    pairs = pairs_from_bitext({"de": ["a", "", "c"], "en": ["x", " ", ""]}, name="lines")
    assert [pairs[i]["anchor"] for i in range(2)] == ["a", "c"]
    assert pairs.groups.has_query.tolist() == [[True, True], [True, False]]
    assert [record.getMessage() for record in caplog.records] == [
        "lines: 3 blank texts are taken for missing translations, first in group '1'",
        (
            "lines: 1 groups are left out, without query or passage in these languages, "
            "first in group '1'"
        ),
    ]


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([], {}, "pairs has no groups"),
        ([{"query": {"de": "a"}, "positive": {}}], {}, "group '0' has no positive in any language"),
        ([{"query": {"de": " "}, "positive": {"de": "b"}}], {}, "group '0' has no query"),
        ([{"query": "a", "positive": "b"}], {}, "query must map languages to texts, or be a text"),
        (
            [{"query": {"xx-nope": "a"}, "positive": {"de": "b"}}],
            {},
            "pairs, group '0': query: unknown lan",
        ),
        ([{"query": {"de": 3}, "positive": {"de": "b"}}], {}, "query in 'de' is 3, no text"),
        ([GROUPS[0], GROUPS[0]], {}, "1 ids are there twice, first 'a'"),
        ([["a", "b"]], {}, r"pairs, group '0' is \['a', 'b'\], and maps nothing"),
        (
            [{"query": {"zh-Hans": "a", "zh-Hant": "b"}, "positive": {"de": "c"}}],
            {},
            "group '0': query has 'zh-Hans' and 'zh-Hant', both 'zh'; leave one",
        ),
        (
            [{"query": {"de": "a\ud800"}, "positive": {"de": "b"}}],
            {},
            r"pairs: 'a\\ud800' of query.de holds half a character, a lone surrogate",
        ),
        (
            [{"query": {"de": "a"}, "positive": {"de": "b"}, "negative": {"de": "no list"}}],
            {"negatives": 1},
            "group '0': negative in 'de' is a text; it must be a list",
        ),
        (
            [{"query": {"de": "a"}, "positive": {"de": "b"}, "negative": {"de": ["b"]}}],
            {"negatives": 1},
            "group '0' has no hard negative in 'de' that does not answer the query",
        ),
        (
            [{"query": {"de": "a"}, "positive": {"de": "b"}}],
            {"negatives": 1},
            "negative must map languages",
        ),
    ],
)
def test_malformed_groups(groups: Any, options: Any, message: str) -> None:
    with pytest.raises(BadData, match=message):
        pairs_from_groups(groups, **options)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there is no file"):
        read_pairs(tmp_path / "none.jsonl")
    (tmp_path / "some.csv").touch()
    with pytest.raises(BadOption, match="must end in"):
        read_pairs(tmp_path / "some.csv")
    with pytest.raises(BadData, match="none' is no file, folder or dataset to be had"):
        read_pairs(tmp_path / "none")
    with pytest.raises(BadData, match="'' is no file, folder or dataset to be had"):
        read_pairs("")
    (tmp_path / "half.jsonl").write_text('{"query": {"de": "a"}, "pos')
    with pytest.raises(BadData, match=r"half\.jsonl"):
        read_pairs(tmp_path / "half.jsonl")
    (tmp_path / "half.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadData, match="is no Parquet file"):
        read_pairs(tmp_path / "half.parquet")
    tables = [path for path in (tmp_path / "cache").rglob("*") if path.name.endswith(".arrow")]
    assert tables == []


def test_selecting_groups_as_a_plain_dataset() -> None:
    pairs = pairs_from_groups(GROUPS)
    assert pairs.select([1]).to_list() == [pairs[1]]
    assert np.array_equal([len(row["label"]) for row in pairs], [7, 7])


def test_selecting_columns() -> None:
    pairs = pairs_from_groups(
        {"query": {"de": f"q{i}"}, "positive": {"de": f"p{i}"}} for i in range(2500)
    )
    subset = pairs.select_columns(["positive"])
    assert (len(subset), subset.shape, list(subset.features)) == (2500, (2500, 1), ["positive"])
    assert subset[2499] == {"positive": "p2499"}
    assert subset.select([3, 2400]).to_list() == [{"positive": "p3"}, {"positive": "p2400"}]
    assert subset.__getitems__([int(pairs.row_codes.encode(7, 0, 0))]) == [{"positive": "p7"}]
    assert pairs.column_names == ["anchor", "positive", "label"]
    with pytest.raises(BadOption, match="no column 'negative'"):
        pairs.select_columns(["negative"])


def test_shape_and_indexing_are_those_of_rows() -> None:
    pairs = pairs_from_groups(GROUPS, negatives=1)
    assert repr(pairs) == (
        "ParallelPairs(2 groups in de, en, th; columns anchor, positive, negative_1, label)"
    )
    assert (pairs.shape, pairs.num_rows, pairs.num_columns) == ((2, 4), 2, 4)
    assert pairs.to_list() == [pairs[0], pairs[1]]
    assert pairs[[-1, 0]]["anchor"] == ["เมื่อไร", "Wer?"]
    for place in (2, -3, int(pairs.row_codes.encode(0, 0, 0))):
        with pytest.raises(IndexError, match=f"there is no group {place}: there are 2"):
            pairs[place]
        with pytest.raises(IndexError, match=f"there is no group {place}"):
            pairs[[0, place]]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("map", "change the groups that the pairs are made of"),
        ("rename_column", "change the groups"),
        ("rename_columns", "change the groups"),
        ("remove_columns", r"pairs.select_columns\(names\)"),
        ("filter", r"pairs.subset\(indices\) are some of the groups"),
        ("train_test_split", r"pairs.subset\(indices\)"),
        ("shuffle", "HybridBatchSampler draws groups in an order of its own"),
        ("sort", "HybridBatchSampler"),
        ("to_pandas", r"pairs.select\(range\(len\(pairs\)\)\) is a plain dataset"),
    ],
)
def test_unsupported_methods_name_the_cure(name: str, cure: str) -> None:
    with pytest.raises(BadOption, match=f"ParallelPairs has no {name}: .*{cure}"):
        getattr(pairs_from_groups(GROUPS), name)(0.2)


def test_pairs_can_be_pickled(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(group) + "\n" for group in GROUPS))
    pairs = read_pairs(path, negatives=2)
    sampler = HybridBatchSampler(pairs, 1, strategy="x-y")
    codes = [code for batch in sampler for code in batch]
    unpickled = pickle.loads(pickle.dumps(pairs))  # noqa: S301 - our own
    assert unpickled.__getitems__(codes) == pairs.__getitems__(codes)
    assert unpickled.digest() == pairs.digest()
    unpickled.set_epoch(3)  # of no sampler
    assert sampler.epoch == 0
    pairs.set_epoch(3)
    assert sampler.epoch == 3


def test_subsets() -> None:
    def make_part(name: str, n: int) -> Any:
        return pairs_from_groups(
            [{"id": f"{i}", "query": {"de": f"{name}{i}?", "en": f"{name}{i}?e"},
              "positive": {"de": f"{name}{i}"}, "negative": {"de": ["no"]}} for i in range(n)],
            name=name, negatives=1,
        )  # fmt: skip

    pairs = join_pairs(
        [make_part("a", 3), make_part("b", 2), make_part("c", 2)]
    ).with_translations()
    subset = pairs.subset([6, 1, 0, 5])
    assert subset.sources == (("a", 2), ("c", 2))
    assert subset.to_list() == [pairs[0], pairs[1], pairs[5], pairs[6]]
    assert subset[3]["translation"] == "c1?e"
    assert pairs.subset(np.array([4])).sources == (("b", 1),)
    all_groups = pairs.subset(range(7))
    assert (all_groups.sources, all_groups.digest()) == (pairs.sources, pairs.digest())
    for indices, message in (
        ([7], "groups from 0 to 6, not from 7 to 7"),
        ([-1, 2], "not from -1 to 2"),
        ([], "none at all"),
        ([1, 1], "1 of the groups of a subset are named twice"),
    ):
        with pytest.raises(BadOption, match=message):
            pairs.subset(indices)


def test_subsets_keep_further_golds() -> None:
    corpus = {f"de:{i}": {"text": f"de{i}"} for i in range(3)}
    queries = {"de:q:1": "frage", "de:q:2": "andere"}
    qrels = {"de:q:1": {"de:0": 1, "de:1": 1}, "de:q:2": {"de:2": 1}}
    pairs = pairs_from_collection(bh.from_beir(corpus, queries, qrels))
    assert pairs.subset([1, 2]).groups.gold_hashes.tolist() == pairs.groups.gold_hashes[1:].tolist()
    assert pairs.subset([1]).groups.gold_hashes.tolist() == [[hash_text("de1"), hash_text("de0")]]


def test_hard_negatives_are_hashed_at_once() -> None:
    """Seven texts a row for two: a few times the work, not thirty times."""
    groups = [
        {"query": {"de": f"q{i}"}, "positive": {"de": f"p{i}"},
         "negative": {"de": [f"n{i} {k}" for k in range(5)]}}
        for i in range(256)
    ]  # fmt: skip

    def measure_seconds(negatives: int) -> float:
        pairs = pairs_from_groups(groups, negatives=negatives)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            pairs.__getitems__(range(256))
            times.append(time.perf_counter() - start)
        return min(times)

    assert measure_seconds(5) < 6 * measure_seconds(0)


def test_reading_a_dataset_folder(tmp_path: Path) -> None:
    """A folder is read as a dataset of the hub is: by ``datasets.load_dataset``."""
    folder = tmp_path / "set"
    folder.mkdir()
    datasets.Dataset.from_list([dict(row) for row in GROUPS]).to_parquet(
        folder / "train-00000-of-00001.parquet"
    )
    pairs = read_pairs(folder)
    expected = pairs_from_groups(GROUPS, name="set")
    assert pairs.sources == expected.sources
    assert list(pairs) == list(expected)
    assert pairs.digest() == expected.digest()
    with pytest.raises(BadData, match="no file, folder or dataset to be had"):
        read_pairs(folder, split="test")


@pytest.mark.parametrize("key", ["querry", "Query", "queries"])
def test_misspelt_keys_are_named(key: str) -> None:
    group = {key: {"de": "Wo?"}, "positive": {"de": "Hier."}}
    with pytest.raises(BadData, match=f"group '0' has no 'query'; {key!r} may be meant for it"):
        pairs_from_groups([group])


def test_checksums_tell_lists_of_negatives_apart() -> None:
    def make(*lists: list[str]) -> str:
        rows = [
            {"query": {"en": f"q{n}"}, "positive": {"en": f"p{n}"}, "negative": {"en": texts}}
            for n, texts in enumerate(lists)
        ]
        return bh.pairs_from_groups(rows, negatives=1).digest()

    assert make(["x", "y"], ["z"]) != make(["x"], ["y", "z"])


def test_each_wording_of_a_question_makes_a_group() -> None:
    corpus = {"en:1": {"text": "first"}, "en:2": {"text": "second"}, "de:1": {"text": "erste"}}
    golds = dict.fromkeys(corpus, 1)
    qrels = {f"en:q:{n}": golds for n in range(3)} | {"de:q:0": golds}
    queries = {key: f"wording {key}" for key in qrels}
    collection = bh.from_beir(corpus, queries, qrels, groups=dict.fromkeys(qrels, "g"))
    pairs = bh.pairs_from_collection(collection)
    table = pairs.groups.table
    assert sorted(table["query.en"].to_pylist()) == [queries[f"en:q:{n}"] for n in range(3)]
    assert table["query.de"].to_pylist() == [queries["de:q:0"]] * 3
    assert table["positive.en"].to_pylist() == ["first", "second", "first"]
    assert table["positive.de"].to_pylist() == ["erste", None, "erste"]
    for batch in bh.HybridBatchSampler(pairs, 2, seed=1, strategy="en-en"):
        assert len(batch) == 1  # all are golds of one another
