"""A model and a collection in, every setting's values with intervals out: `Results`."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ir_measures import AP, DefaultPipeline, Measure, R, nDCG, parse_measure

from beir_hybrid.collection import Collection
from beir_hybrid.collection.model import retrieval_texts
from beir_hybrid.collection.store import facts
from beir_hybrid.encoding import Embeddings, Encoded, Encoder, as_encoder, encode
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.measures import (
    BiasMeasure,
    LanguageExposure,
    LanguagePreference,
    RankDistance,
    SameLanguageShare,
)
from beir_hybrid.evaluation.rerank import CrossEncoderScores, Reranker
from beir_hybrid.evaluation.results import Results, table_of
from beir_hybrid.evaluation.scoring import Scoring, unbiased
from beir_hybrid.evaluation.settings import Judgements, Kind, kinds_of

DEPTH, RERANKED = 1000, 100  # passages of a run, and of a reranked one
MEASURES: tuple[Measure, ...] = (
    AP,
    nDCG @ 10,
    R @ 1,
    R @ 10,
    R @ 100,
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
    LanguageExposure @ 10,
)


@dataclass(frozen=True)
class Vectors:
    """Vectors that something else made: a row for each query and each passage of a collection."""

    queries: Embeddings
    passages: Embeddings
    about: dict[str, Any]
    encoded: Encoded = field(default_factory=Encoded)


def evaluate(
    model: Any,
    collection: Collection,
    *,
    measures: Iterable[Measure | str] | None = None,
    settings: Iterable[Kind] | None = None,
    name: str = "",
    runs: str | Path | None = None,
    depth: int | None = None,
    rerank: Any = None,
    store: str | Path | None = None,
    **options: Any,
) -> Results:
    """Rank a collection's passages in every setting and score the rankings.

    Texts are encoded once, whatever the number of settings, and ranks are exact, however long the
    ranking. Measures of language bias are of the pool of all languages, the ``multi`` settings.

    Parameters
    ----------
    model
        A hub name, a folder, a ``SentenceTransformer``, an mteb model, an `Encoder`, or `Vectors`.
    measures
        ir-measures' measures, or their names. Those that depend on the ranks of judged passages
        alone are computed from exact ranks; others see runs of the `depth` best passages. By
        default `MEASURES`, those of bias only where there is a pool.
    settings
        ``mono``, ``cross``, ``multi``, ``one-target``; by default the first three, as far as the
        collection has them.
    name
        What to call the model in the results; by default its name on the hub or folder.
    runs
        A folder to write each setting's run to, `depth` passages a query.
    depth
        How many passages a run keeps of each query: 1000, or 100 where they are reranked.
    rerank
        A cross-encoder (its name or folder, or a ``CrossEncoder``) that puts the first `depth`
        passages of each ranking in its own order.
    store
        The folder that embeddings are kept in; the cache's by default.
    options
        Of the encoder; see `SentenceTransformerEncoder`.
    """
    judgements = Judgements.of(collection)
    kinds = kinds_of(judgements, settings)
    chosen = parsed(MEASURES if measures is None else measures)
    if measures is None and "multi" not in kinds:
        chosen = [measure for measure in chosen if not isinstance(measure, BiasMeasure)]
    if depth is None:
        depth = DEPTH if rerank is None else RERANKED
    if depth < 1:
        raise BadOption(f"depth is {depth}; it must be at least 1")
    seconds: dict[str, float] = {}
    with _timed(seconds, "encoding"):
        vectors = _vectors(model, collection, store, options)
    named = vectors.about | ({"name": name} if name else {})
    about = {"model": named, "collection": about_collection(collection), "depth": depth}
    reranker = None
    if rerank is not None:
        reranker = Reranker(CrossEncoderScores(rerank), depth, Path(store) if store else None)
        about["reranker"] = reranker.about()
    scoring = Scoring(chosen, kinds, depth, Path(runs) if runs is not None else None, reranker)
    with _timed(seconds, "ranking and scoring"):
        rows = scoring.scored(vectors.queries, vectors.passages, judgements)
        table = table_of(collection, rows, chosen)
    about |= {
        "unbiased": unbiased(rows, chosen),
        "truncated": {"queries": vectors.queries.cut, "passages": vectors.passages.cut},
    }
    timing = {
        "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
        "texts encoded": vectors.encoded.texts,
        **({"pairs reranked": scoring.encoded.texts} if reranker else {}),
        "machine": {"system": platform.platform(), "python": platform.python_version()},
    }
    return Results.of(table, chosen, about, timing)


def parsed(measures: Iterable[Measure | str]) -> list[Measure]:
    """Return measures, each once and fit for use."""
    found: dict[Measure, None] = {}
    for given in measures:
        try:
            measure = parse_measure(given) if isinstance(given, str) else given
            measure.validate_params()
            known = isinstance(measure, BiasMeasure) or DefaultPipeline.supports(measure)
        except (ValueError, NameError, SyntaxError, TypeError, AssertionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadOption(f"no measure {given!s:.80}: {_readable(reason)}") from error
        if not known:
            raise BadOption(f"ir-measures has no provider for {measure}")
        found[measure] = None
    if not found:
        raise BadOption("no measure is named")
    return list(found)


def _readable(reason: str) -> str:
    """Say what ir-measures' message about a missing parameter means."""
    if "<object object" in reason:
        return "it needs a cutoff, as in R@10" if "cutoff" in reason else "a parameter is missing"
    return reason


def about_collection(collection: Collection) -> dict[str, Any]:
    """Return what results say of the collection they are on."""
    return facts(collection) | {
        "languages": list(collection.languages),
        "queries": len(collection.queries),
        "passages": len(collection.passages),
    }


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - started


def _vectors(
    model: Any, collection: Collection, store: str | Path | None, options: dict[str, Any]
) -> Vectors:
    if isinstance(model, Vectors):
        if options:
            raise BadOption(f"options {sorted(options)} do not apply to vectors")
        for kind, rows, texts in (
            ("queries", model.queries, collection.queries),
            ("passages", model.passages, collection.passages),
        ):
            if len(rows) != len(texts):
                raise BadData(f"{len(rows)} vectors for {collection.name}'s {len(texts)} {kind}")
        return model
    encoder: Encoder = as_encoder(model, **options)
    folder, encoded = Path(store) if store is not None else None, Encoded()
    texts = retrieval_texts(collection.view().documents)
    passages = encode(encoder, texts, "passages", folder=folder, encoded=encoded)
    asked = collection.queries["text"]
    queries = encode(encoder, asked, "queries", folder=folder, encoded=encoded)
    about = {
        "name": _short(getattr(encoder, "name", "") or type(encoder).__name__),
        "revision": getattr(encoder, "revision", ""),
        "fingerprint": dict(encoder.fingerprint),
    }
    return Vectors(queries, passages, about, encoded)


def _short(name: str) -> str:
    """Return a hub name as it is, and of a folder the last two parts: results may travel."""
    return "/".join(Path(name).parts[-2:]) if Path(name).is_dir() else name
