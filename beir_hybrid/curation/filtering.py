"""Filter training groups: leave out bad translations, duplicates and texts of test collections."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from beir_hybrid.collection import Collection
from beir_hybrid.curation.contamination import TestTexts
from beir_hybrid.curation.identification import check_identifier
from beir_hybrid.curation.rules import FilterOptions, Rules, Verdict, estimate_ratios
from beir_hybrid.curation.similarity import Similarities, measure_similarities
from beir_hybrid.curation.steps import Counts, StepRecord, run_step
from beir_hybrid.curation.text_groups import batch_groups, read_groups, write_row
from beir_hybrid.encoding.encoder import Encoder
from beir_hybrid.progress import progress_bar

_BATCH = 2048  # groups that are judged at once


def filter_pairs(
    pairs: str | Path,
    output: str | Path,
    *,
    model: object = None,
    tests: Iterable[Collection] = (),
    **options: Any,
) -> StepRecord:
    """Write the groups of a file without bad translations, duplicates and texts of tests.

    Texts are left out one by one, groups only with their last query or passage, as duplicates, or
    for a text of a test collection. Beside the output, ``.dropped.jsonl`` holds all of these with
    the reason, and ``.record.json`` the options and counts. The same call again reads the record.

    Parameters
    ----------
    pairs
        A file of groups, as `read_pairs` reads it.
    output
        The file to write, ``.jsonl``.
    model
        An encoder; translations that it finds less similar than the quantile of their languages
        are left out. Without it similarity is not looked at.
    tests
        Collections whose texts must not be trained on.
    options
        Fields of `FilterOptions`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "pairs.jsonl"
    >>> query = '{"en": "Since 1990?", "de": "Seit 1909?"}'
    >>> _ = path.write_text(f'{{"id": "1", "query": {query}, "positive": {{"en": "Yes."}}}}')
    >>> filter_pairs(path, path.with_name("clean.jsonl")).counts["texts"]
    {'numbers': {'de': 1}}
    """
    from beir_hybrid.encoding import as_encoder
    from beir_hybrid.encoding.encoder import check_is_dense

    settings = FilterOptions(**options)
    if settings.identify:
        check_identifier()
    encoder = None if model is None else as_encoder(model)
    if encoder is not None:
        check_is_dense(encoder)
    test_texts = [TestTexts.from_collection(test, settings.ngram) for test in tests]

    def write(groups: TextIO, dropped: TextIO) -> Counts:
        return _Filter(Path(pairs), settings, test_texts, encoder).write(groups, dropped)

    request = _describe(settings, encoder, test_texts)
    return run_step("filter", Path(pairs), Path(output), request, write)


class _Filter:
    """Passes over a file: for the usual lengths, for an encoder if there is one, and to write."""

    def __init__(
        self,
        source: Path,
        options: FilterOptions,
        tests: list[TestTexts],
        encoder: Encoder | None,
    ) -> None:
        self.source, self.options, self.tests, self.encoder = source, options, tests, encoder
        self.ratios = estimate_ratios(read_groups(source), options.source)

    def judge(self) -> Iterator[Verdict]:
        """Yield the verdicts of all rules that need no encoder."""
        rules = Rules(self.options, self.ratios, self.tests)
        with progress_bar("filtering", None, unit="groups") as advance:
            for batch in batch_groups(read_groups(self.source), _BATCH):
                yield from rules.judge(batch)
                advance(len(batch))

    def write(self, groups: TextIO, dropped: TextIO) -> Counts:
        """Write the groups to keep, and the dropped texts and groups; return counts."""
        similarities = None
        if self.encoder is not None:
            similarities = measure_similarities(
                self.judge(), self.encoder, self.options.source, self.options.quantile
            )
        tally = _Tally()
        for number, verdict in enumerate(self.judge()):
            if similarities is not None:
                similarities.add_reasons(number, verdict)
            tally.add(verdict, self.options.source)
            for row in _list_dropped(verdict):
                write_row(dropped, row)
            if not verdict.reason:
                write_row(groups, verdict.rest.to_row())
        return tally.to_counts() | self._describe_limits(similarities)

    def _describe_limits(self, similarities: Similarities | None) -> Counts:
        """Return the usual ratios of lengths and the least similarities, for the record."""
        source = self.options.source
        limits: Counts = {"length ratios": _name_places(self.ratios, source)}
        if similarities is not None:
            limits["least similarities"] = _name_places(similarities.thresholds, source)
        return limits


class _Tally:
    """Counts of texts and groups, both kept and dropped."""

    def __init__(self) -> None:
        self.groups: Counter[str] = Counter()
        self.texts: dict[str, Counter[str]] = {}

    def add(self, verdict: Verdict, source: str) -> None:
        """Count a group and its texts."""
        group = verdict.group
        self.groups[verdict.reason or "kept"] += 1
        self.groups["without source"] += source not in group.languages
        for (_, lang), reason in verdict.texts.items():
            self.texts.setdefault(reason, Counter())[lang] += 1

    def to_counts(self) -> Counts:
        """Return the counts as a record has them."""
        groups = +self.groups
        without_source = groups.pop("without source", 0)
        return {
            "groups": groups.total(),
            "kept": groups.pop("kept", 0),
            "dropped": dict(sorted(groups.items())),
            "texts": {reason: dict(sorted(n.items())) for reason, n in sorted(self.texts.items())},
            "without source": without_source,
        }


def _list_dropped(verdict: Verdict) -> Iterator[dict[str, Any]]:
    """Yield a row for each dropped text, and one for a dropped group."""
    group = verdict.group
    for (part, lang), reason in verdict.texts.items():
        text = group.get_texts(part)[lang]
        yield {"id": group.id, "reason": reason, "part": part, "language": lang, "text": text}
    if verdict.reason:
        detail = {"test": verdict.detail} if verdict.detail else {}
        yield {"id": group.id, "reason": verdict.reason, **detail, "group": group.to_row()}


def _describe(
    options: FilterOptions, encoder: Encoder | None, tests: list[TestTexts]
) -> dict[str, Any]:
    """Return everything that the filter depends on besides the groups."""
    return {
        **asdict(options),
        "model": None if encoder is None else dict(encoder.fingerprint),
        "tests": [{"name": test.name, "xxh3": test.digest()} for test in tests],
    }


def _name_places(values: dict[Any, float], source: str) -> dict[str, float]:
    """Return values by part and pair of languages, such as ``query en-de``."""
    return {
        f"{part} {source}-{lang}": round(value, 6) for (part, lang), value in sorted(values.items())
    }
