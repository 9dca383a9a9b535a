"""Batches of MLQA-R, where a query is in two to four of seven languages, and small trainings."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest, chi2

import beir_hybrid as bh
from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.batches.strategies import STRATEGIES
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.pairs.row_codes import SampledRow
from tests.language_pairs import LANGUAGE_PAIRS
from tests.models import static_model

SIZE, SEEDS = 8, range(30)
TEXTS = [name for name in STRATEGIES if "image" not in name]
pytestmark = pytest.mark.usefixtures("mirror")


@pytest.fixture(scope="module")
def loaded() -> dict[str, ParallelPairs]:
    return {}


@pytest.fixture
def pairs(mirror: Path, loaded: dict[str, ParallelPairs]) -> ParallelPairs:  # noqa: ARG001
    if not loaded:
        loaded["mlqa-r"] = bh.pairs_from_collection(bh.load("mlqa-r"))
    return loaded["mlqa-r"]


def list_languages(pairs: ParallelPairs) -> list[tuple[set[str], set[str]]]:
    """Return, for each group, the languages of its queries and of its passages."""
    languages: list[Any] = [(set(), set()) for _ in range(len(pairs))]
    for place, part in enumerate(("query", "positive")):
        for lang in pairs.languages:
            for group, text in enumerate(pairs.data.table[f"{part}.{lang}"].to_pylist()):
                if text is not None:
                    languages[group][place].add(lang)
    return languages


@dataclass
class Tally:
    """Counts of the languages that a strategy draws, and of those to be expected."""

    groups: list[tuple[set[str], set[str]]]
    kinds: set[str]
    single_pair: str  # of languages, if a strategy draws no other
    counts: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    kinds_of_choice: Counter[str] = field(default_factory=Counter)  # where all had full batches
    remaining: dict[str, Counter[str]] = field(default_factory=dict)

    def list_options(self, group: int, kind: str) -> list[str]:
        """Return the pairs of languages that a group has for a kind of batch."""
        queries, passages = self.groups[group]
        is_paired = LANGUAGE_PAIRS[kind]
        options = [f"{q}-{p}" for q in sorted(queries) for p in sorted(passages) if is_paired(q, p)]
        return [pair for pair in options if self.single_pair in ("", pair)]

    def begin_epoch(self) -> None:
        """Count what the groups of an epoch offer."""
        for kind in self.kinds:
            self.remaining[kind] = Counter()
            for group in range(len(self.groups)):
                self.remaining[kind].update(self.list_options(group, kind))

    def count_full(self, kind: str, rows: list[SampledRow]) -> None:
        """Count a full batch, and the languages that it could have had."""
        options = {
            k: [pair for pair, n in self.remaining[k].items() if n >= SIZE] for k in self.kinds
        }
        if all(options.values()):
            self.kinds_of_choice[kind] += 1
        names = [f"{row.query_language}-{row.passage_language}" for row in rows]
        if kind in ("mono", "cross"):  # one pair of languages for all rows
            assert len(set(names)) == 1
            self.counts[names[0]] += 1
            self.expected.update(dict.fromkeys(options[kind], 1 / len(options[kind])))
            return
        for row, name in zip(rows, names, strict=True):
            self.counts[name] += 1
            row_options = self.list_options(row.group, kind)
            self.expected.update(dict.fromkeys(row_options, 1 / len(row_options)))

    def remove(self, rows: list[SampledRow], kind: str) -> None:
        """Remove rows from what remains."""
        for row in rows:
            assert f"{row.query_language}-{row.passage_language}" in self.list_options(
                row.group, kind
            )
            for other in self.kinds:
                self.remaining[other].subtract(self.list_options(row.group, other))


@pytest.mark.parametrize("name", TEXTS)
def test_composition(name: str, pairs: ParallelPairs) -> None:
    shares = dict(bh.parse_strategy(name).kinds)
    tally = Tally(list_languages(pairs), set(shares), "en-en" if name == "en-en" else "")
    for seed in SEEDS:
        sampler = HybridBatchSampler(pairs, SIZE, seed=seed, strategy=name)
        tally.begin_epoch()
        n_rows = 0
        for batch in sampler.batches():
            rows = [pairs.decode_row(code) for code in batch.codes]
            if len(rows) == SIZE:
                tally.count_full(batch.kind, rows)
            tally.remove(rows, batch.kind)
            n_rows += len(rows)
        audit = sampler.audit()
        assert sum(audit.rows.values()) == n_rows
        assert n_rows + sum(audit.left_out.values()) == len(pairs)
    # Kinds are drawn by the strategy while there is a full batch of either.
    assert set(tally.kinds_of_choice) == set(shares)
    if name == "hybrid":
        assert (
            binomtest(tally.kinds_of_choice["mono"], tally.kinds_of_choice.total(), 0.5).pvalue
            > 0.001
        )
    # Languages are drawn alike among those that a group, or a full batch, has.
    assert set(tally.counts) <= set(tally.expected)
    cells = [pair for pair, n in tally.expected.items() if n >= 5]
    statistic = sum(
        (tally.counts[pair] - tally.expected[pair]) ** 2 / tally.expected[pair] for pair in cells
    )
    assert chi2.sf(statistic, max(len(cells) - 1, 1)) > 0.001, tally


@pytest.mark.parametrize("name", TEXTS)
def test_a_small_model_trains_under_every_strategy(
    name: str, pairs: ParallelPairs, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate", reason="the trainer needs it: the extra 'train'")
    bh.train(
        static_model(), pairs, tmp_path, strategy=name, max_steps=20, seed=4, use_cpu=True,
        per_device_train_batch_size=SIZE, disable_tqdm=True, report_to=[],
    )  # fmt: skip
    audit = json.loads((tmp_path / "training.json").read_text())["audit"]
    batches = HybridBatchSampler(pairs, SIZE, seed=4, strategy=name).batches()[:20]
    rows = [pairs.decode_row(code) for batch in batches for code in batch.codes]
    assert audit["batches"] == Counter(batch.kind for batch in batches)
    assert audit["rows"] == Counter(f"{row.query_language}-{row.passage_language}" for row in rows)
