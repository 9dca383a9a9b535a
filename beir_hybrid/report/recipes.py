"""A line that says how a system came about: its training, prompts, index, reranker."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from beir_hybrid.encoding.trained_models import RECORD
from beir_hybrid.integrity import read_sealed_json
from beir_hybrid.records import from_record
from beir_hybrid.report.plain_files import is_plain_file
from beir_hybrid.results.local_paths import hide_path
from beir_hybrid.results.results import Results


def describe_recipe(results: Results, folder: Path | None, *, local_files: bool = False) -> str:
    """Describe a model's training, if this machine has the record, prompts and reranker.

    Parameters
    ----------
    folder
        Where the results were read from, to look for the record of `bh.ablate`.
    local_files
        Whether to look beside the model that the results name, which may be a stranger's choice.
    """
    fingerprint = results.provenance.model.fingerprint
    describe = _DESCRIPTIONS.get(fingerprint.get("kind"), _describe_prompts)
    parts = [describe(fingerprint)]
    record = next(
        (path for path in _list_records(results, folder, local_files) if is_plain_file(path)), None
    )
    if record is not None:
        parts = [_describe_training(record), *parts]
    if index_bytes := results.provenance.model.index_bytes:
        parts.append(f"passages take {index_bytes:,} bytes in an index")
    if reranker := results.provenance.reranker:
        parts.append(f"reranked by {hide_path(reranker.name)}")
    return "; ".join(part for part in parts if part)


def name_family(results: Results) -> str:
    """Name the way in which a system retrieves; empty for a kind of system that is not known."""
    if results.provenance.reranker:
        return "reranked"
    return _FAMILIES.get(results.provenance.model.fingerprint.get("kind"), "")


def _list_records(results: Results, folder: Path | None, local_files: bool) -> Iterator[Path]:
    """Yield where the record of the model's training may be.

    `bh.train` writes it beside the model, `bh.ablate` under runs.
    """
    request = results.timing.request
    if local_files and request is not None and request.model and not request.hub:
        yield Path(request.model).parent / RECORD
    if folder is not None and len(folder.absolute().parents) > 2:  # noqa: PLR2004 - results/NAME/RUN
        record = folder.absolute().parents[2] / "runs" / folder.name / RECORD
        if not any(path.is_symlink() for path in (record.parent, record.parent.parent)):
            yield record


def _describe_training(path: Path) -> str:
    from beir_hybrid.batches.kinds import BATCH_KINDS

    labels = {name: kind.label for name, kind in BATCH_KINDS.items()}
    record = from_record(_TrainingRecord, read_sealed_json(path, "train again"), str(path))
    strategy = record.recipe.strategy
    shares = [f"{share:.0%} {labels.get(kind, kind)}" for kind, share in strategy.kinds]
    mixture = f" ({', '.join(shares)})" if shares[1:] else ""
    parts = [f"{strategy.name}{mixture}"]
    if strategy.code_switch is not None:
        parts.append(f"words switched with p={strategy.code_switch.probability}")
    if record.steps is not None:
        parts.append(f"{record.steps:,} steps")
    return "trained: " + ", ".join(parts)


@dataclass(frozen=True)
class _SwitchRecord:
    probability: float


@dataclass(frozen=True)
class _StrategyRecord:
    name: str
    kinds: tuple[tuple[str, float], ...]
    code_switch: _SwitchRecord | None = None


@dataclass(frozen=True)
class _RecipeRecord:
    strategy: _StrategyRecord


@dataclass(frozen=True)
class _TrainingRecord:
    """The part of the record of a training that is shown."""

    recipe: _RecipeRecord
    steps: int | None = None


# An encoder's or engine's fingerprint, as results record it.
Fingerprint = Mapping[str, object]


def _describe_prompts(fingerprint: Fingerprint) -> str:
    prompts = fingerprint.get("prompts")
    if not isinstance(prompts, Mapping) or not any(prompts.values()):
        return ""
    query, passage = (prompts.get(role, "") for role in ("queries", "passages"))
    return f"prompts “{query}” and “{passage}”"


def _describe_runs(_fingerprint: Fingerprint) -> str:
    return "runs in TREC files"


def _describe_bm25(fingerprint: Fingerprint) -> str:
    return f"BM25, k1={fingerprint['k1']:g}, b={fingerprint['b']:g}"


# By the kind of the fingerprint, as are the descriptions below, which encoders lack.
_FAMILIES: dict[object, str] = {
    "sentence-transformers": "dense",
    "mteb": "dense",
    "endpoint": "dense",
    "vectors": "dense",
    "sparse": "sparse",
    "late-interaction": "late interaction",
    "bm25": "BM25",
}
_DESCRIPTIONS: dict[object, Callable[[Fingerprint], str]] = {
    "runs": _describe_runs,
    "bm25": _describe_bm25,
}
