"""The batch sampler: one kind a batch, every group once an epoch, no passage twice in a batch."""

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import beir_hybrid as bh
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.batches.strategies import STRATEGIES, parse_strategy
from beir_hybrid.errors import BadData, BadOption, UnknownName
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.pairs.reading import pairs_from_collection, pairs_from_groups
from beir_hybrid.pairs.row_codes import SampledRow
from tests.language_pairs import BY_ROW, LANGUAGE_PAIRS

LANGS = ("de", "en", "es", "th")
NAMES = [name for name in STRATEGIES if "image" not in name]  # see test_image_training


def make_parallel(n: int, langs: tuple[str, ...] = LANGS, shared: int = 0, name: str = "p") -> Any:
    """Make groups in all languages; the first `shared` pairs of them have a Thai passage alike."""
    groups = []
    for i in range(n):
        positive = {lang: f"{lang} passage {name} {i}" for lang in langs}
        if i < 2 * shared:
            positive["th"] = f"th passage {name} {i // 2}"
        query = {lang: f"{lang} query {name} {i}" for lang in langs}
        groups.append({"id": str(i), "query": query, "positive": positive})
    return pairs_from_groups(groups, name=name)


def decode_batch(pairs: ParallelPairs, batch: list[int]) -> list[SampledRow]:
    return [pairs.decode_row(code) for code in batch]


def list_kinds(rows: list[SampledRow]) -> set[str]:
    """Return which kinds a batch can be, by its languages alone."""
    pairs = {(query, passage) for _, query, passage in rows}
    return {
        kind
        for kind, is_paired in LANGUAGE_PAIRS.items()
        if all(is_paired(*pair) for pair in pairs) and (len(pairs) == 1 or kind in BY_ROW)
    }


KINDS = {
    "en-en": {"mono"},
    "x-x": {"mono-rows"},
    "x-x-mono": {"mono"},
    "x-y": {"cross-rows"},
    "x-y-batch": {"cross"},
    "hybrid": {"mono", "cross-rows"},
}


@pytest.mark.parametrize("name", NAMES)
def test_kinds_groups_and_passages(name: str) -> None:
    pairs = make_parallel(100, shared=40)
    sampler = HybridBatchSampler(pairs, 8, False, seed=3, strategy=name)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    groups: list[int] = []
    for batch in batches:
        rows = decode_batch(pairs, batch)
        assert list_kinds(rows) & KINDS[name]
        groups += [group for group, _, _ in rows]
        # No passage of a row, in any language, is another row's.
        passages = [pairs._data.table["positive.th"][group].as_py() for group, _, _ in rows]  # noqa: SLF001
        assert len(set(passages)) == len(passages)
        if name == "en-en":
            assert {(query, passage) for _, query, passage in rows} == {("en", "en")}
    assert sorted(groups) == list(range(100))
    full = HybridBatchSampler(pairs, 8, True, seed=3, strategy=name)
    assert {len(batch) for batch in full} == {8}
    audit = full.audit()
    assert sum(audit.rows.values()) + sum(audit.left_out.values()) == 100
    assert sum(audit.batches.values()) == len(full)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(*[st.sets(st.sampled_from("abc"), min_size=1)] * 2),
        min_size=6, max_size=40,
    ),
    st.sampled_from(NAMES[1:]),
    st.integers(1, 4),
    st.integers(0, 3),
    st.booleans(),
)  # fmt: skip
def test_the_audit_adds_up_whatever_is_missing(
    groups: list[tuple[set[str], set[str]]], name: str, size: int, seed: int, drop: bool
) -> None:
    codes = {"a": "de", "b": "en", "c": "th"}
    pairs = pairs_from_groups(
        {"id": str(i),
         "query": {codes[lang]: f"{lang}? {i % 7}" for lang in query_langs},
         "positive": {codes[lang]: f"{lang} {i % 5}" for lang in passage_langs}}
        for i, (query_langs, passage_langs) in enumerate(groups)
    )  # fmt: skip
    try:
        sampler = HybridBatchSampler(pairs, size, drop, seed=seed, strategy=name)
    except BadData:
        return
    batches = [decode_batch(pairs, batch) for batch in sampler]
    assert len(batches) == len(sampler)
    rows = [row for batch in batches for row in batch]
    assert len({group for group, _, _ in rows}) == len(rows)
    for batch in batches:
        assert list_kinds(batch) & KINDS[name]
        for group, query, passage in batch:
            query_langs, passage_langs = groups[group]
            assert query in {codes[lang] for lang in query_langs}
            assert passage in {codes[lang] for lang in passage_langs}
        answers = [{f"{lang} {group % 5}" for lang in groups[group][1]} for group, _, _ in batch]
        assert sum(map(len, answers)) == len(set().union(*answers))
    audit = sampler.audit()
    assert sum(audit.left_out.values()) + len(rows) == len(groups)
    assert Counter(f"{query}-{passage}" for _, query, passage in rows) == audit.rows
    # Without drop_last only those are left out that the strategy cannot use.
    if not drop:
        usable = sum(
            any(
                LANGUAGE_PAIRS[kind](codes[q], codes[p])
                for kind in KINDS[name] for q in query_langs for p in passage_langs
            )
            for query_langs, passage_langs in groups
        )  # fmt: skip
        assert len(rows) == usable
        # The trainer wants epochs of one length, and passes over the groups are not: later epochs
        # go on where the last one ended, and nothing is lost or drawn twice.
        stream = [row.group for row in rows]
        for epoch in range(1, 4):
            sampler.set_epoch(epoch)
            later = [decode_batch(pairs, batch) for batch in sampler]
            assert len(later) == len(sampler) == len(batches)
            stream += [row.group for batch in later for row in batch]
        for start in range(0, len(stream), usable):
            part = stream[start : start + usable]
            assert len(set(part)) == len(part)


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    pairs = make_parallel(60)

    def batches(seed: int, epoch: int) -> list[list[int]]:
        sampler = HybridBatchSampler(pairs, 4, seed=seed, strategy="hybrid")
        sampler.set_epoch(epoch)
        np.random.seed(np.random.randint(99))  # noqa: NPY002 - the global state is to be of no use
        return list(sampler)

    assert batches(1, 0) == batches(1, 0)
    assert batches(1, 0) != batches(1, 1)
    assert batches(1, 0) != batches(2, 0)
    assert batches(1, 1) == batches(1, 1)


def test_languages_are_drawn_alike() -> None:
    # A full batch of each language is left until the last few batches; 2,000 and more are drawn.
    pairs = make_parallel(9000)
    sampler = HybridBatchSampler(pairs, 4, True, strategy="x-x-mono")
    batches = sampler.batches()
    assert len(batches) == 2250
    counts = Counter(pairs.decode_row(int(batch.codes[0])).query_language for batch in batches)
    assert chisquare([counts[lang] for lang in LANGS]).pvalue > 0.001
    rows = HybridBatchSampler(pairs, 4, True, strategy="x-y").audit().rows
    assert len(rows) == 12  # every pair of two languages
    assert chisquare(list(rows.values())).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
def test_alpha_is_the_share_of_monolingual_batches(alpha: float) -> None:
    pairs = make_parallel(6000)
    audit = HybridBatchSampler(
        pairs, 3, True, strategy=parse_strategy("hybrid", alpha=alpha)
    ).audit()
    mono = audit.batches.get("mono", 0)
    deviation = (2000 * alpha * (1 - alpha)) ** 0.5
    assert abs(mono - 2000 * alpha) <= 4 * deviation
    assert set(audit.batches) == {k for k, p in (("mono", alpha), ("cross-rows", 1 - alpha)) if p}


@pytest.mark.parametrize(("temperature", "share"), [(0.0, 1 / 2), (1.0, 3 / 4)])
def test_languages_by_size(temperature: float, share: float) -> None:
    # German is in 3,000 groups and English in 1,000 others. Of the first 200 batches of 2 rows...
    groups = [
        {"query": {lang: f"q{lang}{i}"}, "positive": {lang: f"{lang}{i}"}}
        for lang, n in (("de", 3000), ("en", 1000))
        for i in range(n)
    ]
    strategy = parse_strategy("x-x-mono", temperature=temperature)
    pairs = pairs_from_groups(groups)
    first = HybridBatchSampler(pairs, 2, True, strategy=strategy).batches()[:200]
    german = sum(pairs.decode_row(int(batch.codes[0])).query_language == "de" for batch in first)
    assert abs(german - 200 * share) <= 4 * (200 * share * (1 - share)) ** 0.5


def make_one_way(n: int, lang: str) -> list[dict[str, Any]]:
    """Make groups of a query in one language, and a passage in English alone."""
    return [
        {"query": {lang: f"{lang} query {i}"}, "positive": {"en": f"{lang}'s passage {i}"}}
        for i in range(n)
    ]


@pytest.mark.parametrize("name", ["x-y", "x-y-batch", "hybrid"])
def test_languages_that_no_group_has_both_of(name: str) -> None:
    pairs = pairs_from_groups(make_one_way(40, "de"))
    rows = [row for batch in HybridBatchSampler(pairs, 4, strategy=name) for row in batch]
    assert sorted(pairs.decode_row(row) for row in rows) == [
        SampledRow(i, "de", "en") for i in range(40)
    ]
    # Beside groups in English alone, which only monolingual batches have a use for.
    english = [{"query": {"en": f"q{i}"}, "positive": {"en": f"p{i}"}} for i in range(40)]
    pairs = pairs_from_groups([*make_one_way(40, "de"), *english])
    sampler = HybridBatchSampler(pairs, 4, strategy=name)
    counts = Counter(
        (row >= 40, one.query_language, one.passage_language)
        for batch in sampler
        for one in decode_batch(pairs, batch)
        for row in [one.group]
    )
    expected = Counter({(False, "de", "en"): 40})
    if name == "hybrid":
        expected[True, "en", "en"] = 40
    assert counts == expected
    assert sampler.audit().left_out == ({} if name == "hybrid" else {
        "groups that the strategy has no use for": 40
    })  # fmt: skip


@pytest.mark.parametrize(
    ("temperature", "share"), [(0.0, 1 / 2), (0.5, 3**0.5 / (1 + 3**0.5)), (1.0, 3 / 4)]
)
def test_queries_and_passages_are_weighed_separately(temperature: float, share: float) -> None:
    pairs = pairs_from_groups([*make_one_way(3000, "de"), *make_one_way(1000, "fr")])
    strategy = parse_strategy("x-y-batch", temperature=temperature)
    first = HybridBatchSampler(pairs, 2, True, strategy=strategy).batches()[:200]
    german = sum(pairs.decode_row(int(batch.codes[0])).query_language == "de" for batch in first)
    assert abs(german - 200 * share) <= 4 * (200 * share * (1 - share)) ** 0.5


def test_a_steep_temperature_leaves_no_language_out() -> None:
    groups = [
        {"query": {lang: f"{lang}{i}"}, "positive": {lang: f"{lang}.{i}"}}
        for lang, n in (("de", 400), ("en", 4))
        for i in range(n)
    ]
    sampler = HybridBatchSampler(
        pairs_from_groups(groups), 4, strategy=parse_strategy("x-x", temperature=500)
    )
    assert sampler.audit().rows == {"de-de": 400, "en-en": 4}


def test_sources_in_proportion_to_their_sizes() -> None:
    pairs = join_pairs([make_parallel(3000, name="large"), make_parallel(1000, name="small")])
    assert pairs.sources == (("large", 3000), ("small", 1000))
    sampler = HybridBatchSampler(pairs, 4, True, strategy="hybrid")
    batches = sampler.batches()
    for batch in batches:  # a batch is of one source
        groups = {pairs.decode_row(int(code)).group < 3000 for code in batch.codes}
        assert groups == {batch.source == 0}
    large = sum(batch.source == 0 for batch in batches[:400])
    assert abs(large - 300) <= 4 * (400 * 3 / 16) ** 0.5
    assert sampler.audit().sources == {"large": 3000, "small": 1000}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("world", [2, 3])
def test_processes_draw_together(name: str, world: int) -> None:
    pairs = make_parallel(101, shared=40)
    sampler = HybridBatchSampler(pairs, 4, False, strategy=name, world_size=world)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert len(batches) % world == 0
    assert {len(batch) for batch in batches} == {4}
    for start in range(0, len(batches), world):
        rows = [
            row for batch in batches[start : start + world] for row in decode_batch(pairs, batch)
        ]
        assert list_kinds(rows) & KINDS[name]
        thai = [pairs._data.table["positive.th"][group].as_py() for group, _, _ in rows]  # noqa: SLF001
        assert len(set(thai)) == len(thai) == 4 * world
    audit = sampler.audit()
    assert sum(audit.rows.values()) + sum(audit.left_out.values()) == 101
    assert audit.left_out["rows that fill no batch"] == 101 - 4 * len(batches)


def test_real_passages_are_not_shared(mirror: Path) -> None:
    assert mirror
    pairs = pairs_from_collection(bh.load("xquad-r"))
    assert (len(pairs), pairs.languages[0], len(pairs.languages)) == (1190, "ar", 11)
    golds = [set(row[row >= 0].tolist()) for row in pairs.groups.gold_hashes]
    conflicts = sum(bool(golds[i] & golds[j]) for i in range(1190) for j in range(i))
    assert conflicts == 1377
    in_all = sum(golds[i] == golds[j] for i in range(1190) for j in range(i))
    assert conflicts - in_all == 931
    for name in NAMES:
        sampler = HybridBatchSampler(pairs, 64, False, strategy=name)
        groups = [[pairs.decode_row(code).group for code in batch] for batch in sampler]
        assert sorted(chain.from_iterable(groups)) == list(range(1190))
        for batch in groups:
            assert sum(len(golds[g]) for g in batch) == len(set().union(*(golds[g] for g in batch)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 41}, BadData, "batches of 41 rows are too large: hybrid finds 40 groups"),
        ({"batch_size": 0}, BadOption, "batch_size is 0; it must be a whole number from 1 on"),
        ({"strategy": "hybird"}, UnknownName, "no strategy 'hybird'; did you mean 'hybrid'"),
    ],
)
def test_options_that_are_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        HybridBatchSampler(make_parallel(40), **{"batch_size": 4, **options})


def test_strategies_that_are_refused() -> None:
    with pytest.raises(BadData, match="en-en needs 'en'; there are de"):
        HybridBatchSampler(make_parallel(9, ("de",)), 2, strategy="en-en")
    with pytest.raises(BadData, match="x-y makes cross-rows batches, and no group has languages"):
        HybridBatchSampler(make_parallel(9, ("de",)), 2, strategy="x-y")
    with pytest.raises(BadOption, match=r"alpha is 1\.5; it must be a number from 0 to 1"):
        parse_strategy("hybrid", alpha=1.5)
    with pytest.raises(BadOption, match="x-y has no option 'alpha'"):
        parse_strategy("x-y", alpha=0.5)
    with pytest.raises(BadOption, match="temperature is -1"):
        parse_strategy("x-y", temperature=-1)
    for temperature in (float("inf"), float("nan"), "hot"):
        with pytest.raises(BadOption, match=r"temperature is .* must be a number"):
            parse_strategy("x-y", temperature=temperature)  # type: ignore[arg-type] # on purpose
    with pytest.raises(BadOption, match=r"one of en-en, x-x, x-x-mono, .*, not None"):
        parse_strategy(None)  # type: ignore[arg-type] # on purpose
    with pytest.raises(BadOption, match="draws from ParallelPairs, not from a list"):
        HybridBatchSampler([1, 2], 1)  # type: ignore[arg-type] # on purpose


def make_one_answer(n: int) -> list[dict[str, Any]]:
    """Make groups that all have the same passage, so that no two go together."""
    return [{"query": {"de": f"q{i}"}, "positive": {"de": "yes"}} for i in range(n)]


def test_a_sampler_without_batches_is_an_error() -> None:
    with pytest.raises(BadData, match="x-x makes no batch of 8 rows: too many groups share"):
        HybridBatchSampler(pairs_from_groups(make_one_answer(20)), 8, True, strategy="x-x")


def test_batches_of_a_single_row_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    sampler = HybridBatchSampler(pairs_from_groups(make_one_answer(20)), 8, strategy="x-x")
    assert [len(batch) for batch in sampler] == [1] * 20
    (record,) = caplog.records
    assert record.getMessage() == (
        "epoch 0 has 20 batches of a single row: without hard negatives their loss is 0, and "
        "nothing is learned of them"
    )
    caplog.clear()
    groups = [{**group, "negative": {"de": ["no"]}} for group in make_one_answer(20)]
    assert len(HybridBatchSampler(pairs_from_groups(groups, negatives=1), 8, strategy="x-x")) == 20
    assert not caplog.records


def test_names_of_sources_steer_no_terminal_and_end_no_block() -> None:
    pairs = make_parallel(8, name="a\n```\n<b>\x1b[31mré\u202e")
    rows = HybridBatchSampler(pairs, 4, strategy="x-x").audit().format_lines()[1]
    assert rows.endswith("by source: 8 a\\n'''\\n<b>\\x1b[31mré\\u202e")


def test_the_world_size_is_that_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert HybridBatchSampler(make_parallel(40), 4).world_size == 3


def test_groups_with_one_question_are_in_no_batch_together() -> None:
    """As import-pairs makes them of rows with several positives: each answers the other's query."""
    groups = [
        {"id": f"{i}-{k}", "query": {"en": f"query {i}"}, "positive": {"en": f"answer {i} {k}"}}
        for i in range(16)
        for k in range(2)
    ]
    pairs = pairs_from_groups(groups)
    drawn: Counter[int] = Counter()
    for seed in range(5):
        sampler = HybridBatchSampler(pairs, 8, seed=seed, strategy="x-x")
        for batch in sampler:
            numbers = [group // 2 for group, _, _ in decode_batch(pairs, batch)]
            assert len(set(numbers)) == len(numbers)
            drawn.update(numbers)
    assert len(drawn) == 16
    names = [
        {"id": lang, "query": {lang: "iPhone 15"}, "positive": {lang: f"{lang} answer"}}
        for lang in ("de", "en")
    ]
    sampler = HybridBatchSampler(pairs_from_groups(names), 2, seed=1, strategy="x-x")
    assert [len(batch) for batch in sampler] == [1, 1]
