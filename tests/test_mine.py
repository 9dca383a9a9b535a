"""Mining of hard negatives: by hand in three languages, and beside sentence-transformers' own."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

import beir_hybrid as bh
from beir_hybrid.errors import BadData, BadOption
from tests.families import make_cross
from tests.group_files import read_rows, read_step, write_rows
from tests.models import WORDS, static_model
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture


class NumberEncoder:
    """Scores a query and a passage that end in numbers by the passage's number."""

    fingerprint: Mapping[str, Any] = {"kind": "numbers"}

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1), np.float32)

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[float(text.split()[-1])] for text in texts], np.float32)


# Passages by their score; every query ranks them alike.
ROWS: list[dict[str, Any]] = [
    {"id": "1", "query": {"en": "q1", "de": "f1"}, "positive": {"en": "e 8", "de": "d 7"}},
    {"id": "2", "query": {"en": "q2"}, "positive": {"en": "e 9", "de": "d 3"}},
    {"id": "3", "query": {"en": "q3", "de": "f3"}, "positive": {"en": "e 2", "de": "d 6"}},
    {"id": "4", "query": {"de": "f1"}, "positive": {"de": "d 5"}},  # the question of group 1
    {"id": "5", "query": {"en": "q5"}, "positive": {"en": "e 1", "de": "d 6"}},  # group 3's passage
]


def mine(tmp_path: Path, **options: Any) -> dict[str, Any]:
    """Return the negatives of each group by its id."""
    path = write_rows(tmp_path / "pairs.jsonl", ROWS)
    bh.mine_negatives(path, tmp_path / "mined.jsonl", NumberEncoder(), **options)
    return {row["id"]: row["negative"] for row in read_rows(tmp_path / "mined.jsonl")}


@pytest.mark.parametrize(
    ("languages", "negatives"),
    [
        # Golds of group 1, and of group 4, which is the same question: e 8, d 7, d 5. Those of
        # groups 3 and 5, whose German passage is one: e 2, e 1, d 6.
        (
            "same",
            {
                "1": {"en": ["e 9", "e 2"], "de": ["d 6", "d 3"]},
                "2": {"en": ["e 8", "e 2"], "de": ["d 7", "d 6"]},
                "3": {"en": ["e 9", "e 8"], "de": ["d 7", "d 5"]},
                "4": {"de": ["d 6", "d 3"]},
                "5": {"en": ["e 9", "e 8"], "de": ["d 7", "d 5"]},
            },
        ),
        (
            "other",
            {
                "1": {"en": ["d 6", "d 3"], "de": ["e 9", "e 2"]},
                "2": {"en": ["d 7", "d 6"], "de": ["e 8", "e 2"]},
                "3": {"en": ["d 7", "d 5"], "de": ["e 9", "e 8"]},
                "4": {"de": ["e 9", "e 2"]},
                "5": {"en": ["d 7", "d 5"], "de": ["e 9", "e 8"]},
            },
        ),
        (
            "mixed",
            {
                "1": {"en": ["e 9", "d 6"], "de": ["e 9", "d 6"]},
                "2": {"en": ["e 8", "d 7"], "de": ["e 8", "d 7"]},
                "3": {"en": ["e 9", "e 8"], "de": ["e 9", "e 8"]},
                "4": {"de": ["e 9", "d 6"]},
                "5": {"en": ["e 9", "e 8"], "de": ["e 9", "e 8"]},
            },
        ),
    ],
)
def test_negatives_come_from_the_languages_and_are_no_golds(
    tmp_path: Path, languages: str, negatives: dict[str, Any]
) -> None:
    assert mine(tmp_path, languages=languages, negatives=2) == negatives
    pairs = bh.read_pairs(tmp_path / "mined.jsonl", negatives=2)
    assert pairs[0]["negative_1"] == negatives["1"]["de"][0]  # German comes first


def test_the_query_is_the_first_of_the_group_where_the_language_has_none(tmp_path: Path) -> None:
    """The first in its row, not in the order of languages."""
    queries = [{"en": "w1", "ar": "w2"}, {"ar": "w2", "en": "w3"}]
    rows = [
        {"id": str(n), "query": query, "positive": {"zh": f"w{n + 5}"}}
        for n, query in enumerate(queries)
    ]

    class Words(NumberEncoder):
        """A passage that is x1 answers w1, and so on."""

        def encode_queries(self, texts: Sequence[str], letter: str = "w") -> np.ndarray:
            words = [f"{letter}{number}" for number in (1, 2, 3)]
            return np.array([[text == word for word in words] for text in texts], np.float32)

        def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
            return self.encode_queries(texts, "x")

    rows += [{"query": {"zh": f"v{n}"}, "positive": {"zh": f"x{n}"}} for n in (1, 2, 3)]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    bh.mine_negatives(path, tmp_path / "mined.jsonl", Words(), negatives=1)
    mined = read_rows(tmp_path / "mined.jsonl")
    assert [row["negative"]["zh"] for row in mined[:2]] == [["x1"], ["x2"]]


def test_the_best_are_passed_over_and_ranks_are_limited(tmp_path: Path) -> None:
    options = {"languages": "mixed", "negatives": 2, "range_min": 1}
    assert mine(tmp_path, **options)["2"]["en"] == ["d 7", "d 6"]
    for file in tmp_path.glob("mined.*"):
        file.unlink()
    # Of the five best that are no golds, 8 7 6 5 2, those of 6 and less.
    options |= {"range_max": 5, "max_score": 6}
    assert mine(tmp_path, **options)["2"]["en"] == ["d 5", "e 2"]


def test_the_margin_is_a_share_of_the_gold_score(tmp_path: Path) -> None:
    """Of the English gold of 8, a quarter is 2; German golds are 7 and, of the question, 5."""
    rows = mine(tmp_path, languages="mixed", negatives=1, relative_margin=0.25)
    assert rows["1"] == {"en": ["d 6"], "de": ["d 3"]}
    # Group 5's English gold has the score 1, below which is nothing: its passage goes, not it.
    assert "en" not in rows["5"]
    dropped = read_rows(tmp_path / "mined.dropped.jsonl")
    assert dropped[-1] == {
        "id": "5", "reason": "no negatives", "part": "positive", "language": "en", "text": "e 1",
    }  # fmt: skip


def test_counts_and_groups_without_negatives(tmp_path: Path) -> None:
    rows = [{"id": "a", "query": {"en": "q"}, "positive": {"en": "e 1"}}, *ROWS[:1]]
    rows[1] = {"id": "b", "query": {"en": "q"}, "positive": {"en": "e 2", "de": "d 3"}, "note": "x"}
    rows.append({"id": "c", "query": {"fr": "r"}, "positive": {"fr": "f 1"}, "negative": {}})
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    record = bh.mine_negatives(path, tmp_path / "m.jsonl", NumberEncoder(), languages="other")
    assert record.counts == {
        "groups": 3,
        "kept": 3,
        "negatives by languages": {"de": {"fr": 1}, "en": {"fr": 1}, "fr": {"de": 1, "en": 2}},
        "without negatives": {},
    }
    assert read_rows(tmp_path / "m.jsonl")[1] == {
        **rows[1], "negative": {"en": ["f 1"], "de": ["f 1"]},
    }  # fmt: skip
    record = bh.mine_negatives(path, tmp_path / "same.jsonl", NumberEncoder())
    assert record.counts["kept"] == 0
    reasons = [row["reason"] for row in read_rows(tmp_path / "same.dropped.jsonl")]
    a, c = ["no negatives", "incomplete"], ["no negatives", "incomplete"]
    assert reasons == [*a, "no negatives", "no negatives", "incomplete", *c]


def test_passages_of_a_collection_may_be_negatives(tmp_path: Path) -> None:
    corpus = {"en:1": {"text": "e 99"}, "de:1": {"text": "d 98"}, "en:2": {"text": "e 8"}}
    collection = bh.from_beir(corpus, {"en:q:1": "x"}, {"en:q:1": {"en:1": 1}})
    rows = mine(tmp_path, negatives=2, corpus=collection)
    assert rows["1"] == {"en": ["e 99", "e 9"], "de": ["d 98", "d 6"]}
    with pytest.raises(BadOption, match="made with another corpus"):
        mine(tmp_path, negatives=2)


def draw_pairs(n: int) -> list[tuple[str, str]]:
    """Draw pairs of texts; some queries and some passages are there twice."""
    rng = random.Random(4)  # noqa: S311 - no secret
    queries = [" ".join(rng.choices(WORDS[:60], k=3)) for _ in range(n)]
    passages = [" ".join([*query.split()[:2], *rng.choices(WORDS[:60], k=6)]) for query in queries]
    passages[: n // 10] = passages[n // 10 : 2 * (n // 10)]
    return list(zip(queries, passages, strict=True))


@pytest.mark.parametrize(
    ("range_min", "range_max", "margin", "max_score"),
    [(0, 5, None, None), (3, 20, None, None), (0, 40, 0.2, None), (2, 30, 0.05, 0.6)],
)
def test_negatives_are_those_of_sentence_transformers(
    tmp_path: Path, range_min: int, range_max: int, margin: float | None, max_score: float | None
) -> None:
    pairs = draw_pairs(300)
    model = static_model()
    expected: dict[tuple[str, str], list[str]] = {}
    peer = mine_hard_negatives(
        Dataset.from_dict({"query": [q for q, _ in pairs], "passage": [p for _, p in pairs]}),
        model, num_negatives=5, range_min=range_min, range_max=range_max, relative_margin=margin,
        max_score=max_score, verbose=False,
    )  # fmt: skip
    for row in peer:
        expected.setdefault((row["query"], row["passage"]), []).append(row["negative"])
    rows = [{"query": {"en": q}, "positive": {"en": p}} for q, p in pairs]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    encoder = bh.SentenceTransformerEncoder(model, normalize=True)
    bh.mine_negatives(
        path, tmp_path / "mined.jsonl", encoder, negatives=5, range_min=range_min,
        range_max=range_max, relative_margin=margin, max_score=max_score,
    )  # fmt: skip
    mined = read_rows(tmp_path / "mined.jsonl")
    negatives = {
        (row["query"]["en"], row["positive"]["en"]): row["negative"]["en"] for row in mined
    }
    assert len(expected) > 100
    assert negatives == expected


@pytest.mark.parametrize(("range_min", "margin", "max_score"), [(0, 0.0002, None), (3, 0.0, 0.5)])
def test_a_cross_encoder_scores_as_in_sentence_transformers(
    tmp_path: Path, range_min: int, margin: float, max_score: float | None
) -> None:
    """Among all passages: its window has one more where the gold is not in it."""
    pairs = draw_pairs(60)
    model, cross = static_model(), make_cross(tmp_path / "cross")
    peer = mine_hard_negatives(
        Dataset.from_dict({"query": [q for q, _ in pairs], "passage": [p for _, p in pairs]}),
        model, cross_encoder=cross, num_negatives=3, range_min=range_min, range_max=60,
        relative_margin=margin, max_score=max_score, verbose=False,
    )  # fmt: skip
    expected: dict[tuple[str, str], list[str]] = {}
    for row in peer:
        expected.setdefault((row["query"], row["passage"]), []).append(row["negative"])
    rows = [{"query": {"en": q}, "positive": {"en": p}} for q, p in pairs]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    bh.mine_negatives(
        path, tmp_path / "mined.jsonl", bh.SentenceTransformerEncoder(model, normalize=True),
        rerank=cross, negatives=3, range_min=range_min, range_max=60,
        relative_margin=margin, max_score=max_score,
    )  # fmt: skip
    negatives = {
        (row["query"]["en"], row["positive"]["en"]): row["negative"]["en"]
        for row in read_rows(tmp_path / "mined.jsonl")
    }
    assert len(expected) > 10
    assert negatives == expected


def test_negatives_are_the_best_of_ten_times_as_many_by_a_cross_encoder(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    """Brute force: the ten best by the encoder's numbers, the best of these by the other model."""
    static_model().save(str(tmp_path / "model"))
    cross = make_cross(tmp_path / "cross")
    cross.save_pretrained(str(tmp_path / "cross"))
    pairs = draw_pairs(40)
    rows = [{"query": {"en": q}, "positive": {"en": p}} for q, p in pairs]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    outcome = run_cli(
        "mine", tmp_path / "model", path, "--rerank", tmp_path / "cross", "--negatives", "1",
        "--normalize", "--output", tmp_path / "mined.jsonl",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    passages = list(dict.fromkeys(p for _, p in pairs))
    vectors = static_model().encode([q for q, _ in pairs], normalize_embeddings=True)
    scores = vectors @ static_model().encode(passages, normalize_embeddings=True).T
    for number, row in enumerate(read_rows(tmp_path / "mined.jsonl")):
        query, gold = pairs[number]
        order = np.argsort(-scores[number], kind="stable")
        candidates = [passages[place] for place in order if passages[place] != gold][:10]
        values = cross.predict([(query, passage) for passage in candidates])
        best = values[candidates.index(row["negative"]["en"][0])]
        assert best >= values.max() - 1e-6  # pairs of other batches may differ in the last digit


def test_mine_on_the_command_line_and_twice(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    static_model().save(str(tmp_path / "model"))
    rows = [{"query": {"en": q}, "positive": {"en": p}} for q, p in draw_pairs(30)]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    arguments = ("mine", tmp_path / "model", path, "--output", tmp_path / "mined.jsonl")
    outcome = run_cli(*arguments, "--negatives", "3", "--relative-margin", "0.05")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("groups  30\nkept  ")
    before = read_step(tmp_path / "mined.jsonl")
    assert run_cli(*arguments, "--negatives", "3", "--relative-margin", "0.05").out == outcome.out
    assert read_step(tmp_path / "mined.jsonl") == before
    assert run_cli(*arguments, "--negatives", "4").err.startswith("BadOption: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": "all"}, "languages are 'all'; they must be one of same, other, mixed"),
        ({"negatives": 0}, "negatives is 0"),
        ({"range_min": 3, "range_max": 5}, "leave no room for 5 negatives"),
        ({"relative_margin": 2}, "relative_margin is 2; it must be a number from 0 to 1"),
        ({"max_score": float("nan")}, "max_score is nan"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        mine(tmp_path, **options)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [])
    with pytest.raises(BadData, match=r"pairs\.jsonl has no queries with passages"):
        bh.mine_negatives(path, tmp_path / "mined.jsonl", NumberEncoder())


def test_equal_texts_of_other_languages_are_golds_too(tmp_path: Path) -> None:
    """The German group has the passage, and the other one the question, of an English group."""
    rows = [
        {"id": "1", "query": {"en": "q1"}, "positive": {"en": "city 9"}},
        {"id": "2", "query": {"de": "f2"}, "positive": {"de": "city 9"}},
        {"id": "3", "query": {"de": "q1"}, "positive": {"de": "stadt 8"}},
        {"id": "4", "query": {"en": "q4"}, "positive": {"en": "town 1"}},
    ]
    path = write_rows(tmp_path / "pairs.jsonl", rows)
    bh.mine_negatives(
        path, tmp_path / "mined.jsonl", NumberEncoder(), languages="mixed", negatives=1
    )
    negatives = {row["id"]: row["negative"] for row in read_rows(tmp_path / "mined.jsonl")}
    assert negatives["1"] == {"en": ["town 1"]}
    assert negatives["3"] == {"de": ["town 1"]}
    assert len(bh.read_pairs(tmp_path / "mined.jsonl", negatives=1)) == 4
