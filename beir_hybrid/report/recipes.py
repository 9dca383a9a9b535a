"""Results and what lies beside them in, a line on how the system came about out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beir_hybrid.errors import BadData
from beir_hybrid.results.results import Results

_RECORD = "training.json"  # of `bh.train`, beside the model; `ablate` has it under runs

_BATCHES = {
    "mono": "monolingual", "mono-rows": "monolingual pairs", "cross": "cross-lingual",
    "cross-rows": "cross-lingual", "image": "captions and pictures",
    "image-rows": "captions and pictures",
}  # fmt: skip


def recipe(results: Results, folder: Path | None) -> str:
    """Return how a model was trained, if its training lies here, else how it was asked."""
    made = results.provenance.model.fingerprint
    parts = list(_OF_KIND.get(str(made.get("kind")), _asked)(made))
    for path in _records(results, folder):
        if path.is_file():
            parts = [_trained(path), *parts]
            break
    if reranker := results.provenance.reranker:
        parts.append(f"reranked by {reranker.name}")
    return "; ".join(parts)


def _records(results: Results, folder: Path | None) -> Iterator[Path]:
    request = results.timing.request
    if request is not None and request.model and not request.hub:
        yield Path(request.model).parent / _RECORD
    if folder is not None and len(folder.absolute().parents) > 2:  # noqa: PLR2004 - results/NAME/RUN
        yield folder.absolute().parents[2] / "runs" / folder.name / _RECORD


def _trained(path: Path) -> str:
    try:
        record = json.loads(path.read_bytes())
        strategy = record["recipe"]["strategy"]
        kinds = strategy["kinds"]
        shares = [f"{share:.0%} {_BATCHES.get(kind, kind)}" for kind, share in kinds]
        mixed = ", ".join(shares) if kinds[1:] else ""
        steps = f"{record['steps']:,} steps" if "steps" in record else ""
        switched = strategy.get("code_switch")
        told = [
            f"{strategy['name']} ({mixed})" if mixed else str(strategy["name"]),
            *([f"words switched with p={switched['probability']}"] if switched else []),
            *([steps] if steps else []),
        ]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadData(f"{path} is no record of a training: {error!r}") from error
    return "trained: " + ", ".join(told)


def _asked(made: Mapping[str, Any]) -> Iterator[str]:
    prompts = made.get("prompts") or {}
    if any(prompts.values()):
        query, passage = (prompts.get(role, "") for role in ("queries", "passages"))
        yield f"prompts “{query}” and “{passage}”"


def _of_runs(_made: Mapping[str, Any]) -> Iterator[str]:
    yield "runs in TREC files"


def _bm25(made: Mapping[str, Any]) -> Iterator[str]:
    yield f"BM25, k1={made['k1']:g}, b={made['b']:g}"


_OF_KIND = {"runs": _of_runs, "bm25": _bm25}
