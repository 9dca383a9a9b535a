"""On MLQA-R, where a question is in two to four of seven languages, batches are as promised."""

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


def languages(pairs: ParallelPairs) -> list[tuple[set[str], set[str]]]:
    """Return, for each group, the languages of its questions and of its passages."""
    found: list[Any] = [(set(), set()) for _ in range(len(pairs))]
    for place, part in enumerate(("query", "positive")):
        for lang in pairs.languages:
            for group, text in enumerate(pairs.data.table[f"{part}.{lang}"].to_pylist()):
                if text is not None:
                    found[group][place].add(lang)
    return found


@dataclass
class Tally:
    """What a strategy drew, beside what it should have drawn given what was left."""

    groups: list[tuple[set[str], set[str]]]
    kinds: set[str]
    only: str  # a pair of languages, or any
    found: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    free: Counter[str] = field(default_factory=Counter)  # kinds, where all had full batches
    left: dict[str, Counter[str]] = field(default_factory=dict)

    def options(self, group: int, kind: str) -> list[str]:
        """Return the pairs of languages that a group has for a kind of batch."""
        asked, answered = self.groups[group]
        mono = kind.startswith("mono")
        all_ = [f"{q}-{p}" for q in sorted(asked) for p in sorted(answered) if (q == p) == mono]
        return [one for one in all_ if self.only in ("", one)]

    def begin(self) -> None:
        """Count what an epoch has."""
        for kind in self.kinds:
            self.left[kind] = Counter()
            for group in range(len(self.groups)):
                self.left[kind].update(self.options(group, kind))

    def full(self, kind: str, rows: list[SampledRow]) -> None:
        """Count a full batch and what it could have been."""
        enough = {k: [one for one, n in self.left[k].items() if n >= SIZE] for k in self.kinds}
        if all(enough.values()):
            self.free[kind] += 1
        names = [f"{row.query_language}-{row.passage_language}" for row in rows]
        if kind in ("mono", "cross"):  # one pair of languages for all rows
            assert len(set(names)) == 1
            self.found[names[0]] += 1
            self.expected.update(dict.fromkeys(enough[kind], 1 / len(enough[kind])))
            return
        for row, one in zip(rows, names, strict=True):
            self.found[one] += 1
            mine = self.options(row.group, kind)
            self.expected.update(dict.fromkeys(mine, 1 / len(mine)))

    def take(self, rows: list[SampledRow], kind: str) -> None:
        """Count rows out of what is left."""
        for row in rows:
            assert f"{row.query_language}-{row.passage_language}" in self.options(row.group, kind)
            for one in self.kinds:
                self.left[one].subtract(self.options(row.group, one))


@pytest.mark.parametrize("name", TEXTS)
def test_composition(name: str, pairs: ParallelPairs) -> None:
    shares = dict(bh.parse_strategy(name).kinds)
    tally = Tally(languages(pairs), set(shares), "en-en" if name == "en-en" else "")
    for seed in SEEDS:
        sampler = HybridBatchSampler(pairs, SIZE, seed=seed, strategy=name)
        tally.begin()
        drawn = 0
        for batch in sampler.batches():
            rows = [pairs.decode_row(code) for code in batch.codes]
            if len(rows) == SIZE:
                tally.full(batch.kind, rows)
            tally.take(rows, batch.kind)
            drawn += len(rows)
        audit = sampler.audit()
        assert sum(audit.rows.values()) == drawn
        assert drawn + sum(audit.left_out.values()) == len(pairs)
    # Kinds are drawn by the strategy while there is a full batch of either.
    assert set(tally.free) == set(shares)
    if name == "hybrid":
        assert binomtest(tally.free["mono"], tally.free.total(), 0.5).pvalue > 0.001
    # Languages are drawn alike among those that a group, or a full batch, has.
    assert set(tally.found) <= set(tally.expected)
    cells = [one for one, n in tally.expected.items() if n >= 5]
    statistic = sum(
        (tally.found[one] - tally.expected[one]) ** 2 / tally.expected[one] for one in cells
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
