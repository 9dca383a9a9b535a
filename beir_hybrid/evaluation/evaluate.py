"""A model and a collection in, every setting's values with intervals out: `Results`."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from ir_measures import AP, DefaultPipeline, Measure, R, Success, nDCG, parse_measure

from beir_hybrid.checks import check_positive
from beir_hybrid.collection import Collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import IMAGE, SETTING_KINDS, KindName
from beir_hybrid.encoding import Embeddings, Encoded, as_encoder, encode
from beir_hybrid.encoding.cluster import Cluster
from beir_hybrid.encoding.encoder import Encoder, Role
from beir_hybrid.encoding.engines import at_work, cluster_of
from beir_hybrid.encoding.images import image_encoder
from beir_hybrid.errors import BadData, BadOption, BeirHybridError, MissingExtra
from beir_hybrid.evaluation.rerankers.rerank import Reranker, kinds_for, name_of, scores_of
from beir_hybrid.evaluation.scoring import Scoring, unbiased
from beir_hybrid.files import explain_write_errors
from beir_hybrid.measures.base import BiasMeasure
from beir_hybrid.measures.language_disparity import LanguageDisparity
from beir_hybrid.measures.language_exposure import LanguageExposure
from beir_hybrid.measures.language_preference import LanguagePreference
from beir_hybrid.measures.modality_share import ModalityShare
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.measures.same_language_share import SameLanguageShare
from beir_hybrid.results.provenance import (
    ClusterSize,
    ModelProvenance,
    build_provenance,
    build_timing,
)
from beir_hybrid.results.request import describe_request
from beir_hybrid.results.results import Results, table_of
from beir_hybrid.retrieval.sharded import ranking_on
from beir_hybrid.text import split_words

DEPTH, RERANKED = 1000, 100  # passages of a run, and of a reranked one
_BIAS: tuple[Measure, ...] = (
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
    LanguageExposure @ 10,
)
MEASURES: tuple[Measure, ...] = (AP, nDCG @ 10, R @ 1, R @ 10, R @ 100, *_BIAS)
# R@k of what others report for pictures is either true recall or whether there is a hit: both.
IMAGE_MEASURES: tuple[Measure, ...] = (
    AP,
    nDCG @ 10,
    R @ 1,
    R @ 10,
    Success @ 1,
    Success @ 10,
    *_BIAS,
    LanguageDisparity,
    LanguageDisparity(normalized=True),
    ModalityShare @ 10,
)


@dataclass(frozen=True)
class Vectors:
    """Vectors that something else made: a row for each query and each passage of a collection."""

    queries: Embeddings
    passages: Embeddings
    model: ModelProvenance
    encoded: Encoded = field(default_factory=Encoded)


def evaluate(
    model: Any,
    collection: Collection,
    *,
    measures: str | Measure | Iterable[Measure | str] | None = None,
    settings: str | Iterable[KindName] | None = None,
    name: str = "",
    runs: str | Path | None = None,
    depth: int | None = None,
    rerank: Any = None,
    store: str | Path | None = None,
    engine: str = "local",
    **options: Any,
) -> Results:
    """Rank a collection's passages in every setting and score the rankings.

    Texts are encoded once, whatever the number of settings, and ranks are exact, however long the
    ranking. Measures of language bias are of pools of all languages: the ``multi`` settings, and
    ``image-pool`` for pictures.

    Parameters
    ----------
    model
        A hub name, a folder, a ``SentenceTransformer``, an mteb model, an `Encoder`, or `Vectors`.
    measures
        ir-measures' measures, or their names; one or several. Those that depend on the ranks of
        judged passages alone are computed from exact ranks; others see runs of the `depth` best
        passages. By default `MEASURES`, or `IMAGE_MEASURES` where there are pictures, those of
        bias only where there is what they are of.
    settings
        ``mono``, ``cross``, ``multi``, ``one-target``, and with pictures ``text-image``,
        ``image-text``, ``image-pool`` and ``mixed``, one or several; by default all that the
        collection has but ``one-target``. A model that reads no pictures takes the first four.
    name
        What to call the model in the results; by default its name on the hub or folder.
    runs
        A folder to write each setting's run to, `depth` passages a query; ``one-target`` has none.
        Runs that an earlier evaluation left there are removed, other files are not.
    depth
        How many passages a run keeps of each query: 1000, or 100 where they are reranked.
    rerank
        A cross-encoder (its name or folder, or a ``CrossEncoder``) that puts the first `depth`
        passages of each ranking in its own order; or what does so with pictures and captions, a
        `BlipMatcher` or `LxmertMatcher`, or ``blip:`` and a name or folder. Only the kinds of
        settings that it can read are evaluated.
    store
        The folder that embeddings are kept in; the cache's by default.
    engine
        Where to compute: ``local``, or ``ray``, on the cluster of the environment's RAY_ADDRESS.
    options
        Of the encoder; see `SentenceTransformerEncoder`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> collection = bh.load("xquad-r", languages=["de", "en"])  # doctest: +SKIP
    >>> results = bh.evaluate("intfloat/multilingual-e5-small", collection)  # doctest: +SKIP
    >>> results.summary()["mono"][AP].mean  # doctest: +SKIP
    """
    judgements = checked(collection).resolve()
    chosen = parsed(default_measures(collection) if measures is None else measures)
    kinds = judgements.list_kinds(split_words(settings) if isinstance(settings, str) else settings)
    scores = None if rerank is None else scores_of(rerank, collection)
    if scores is not None:
        kinds = kinds_for(scores, kinds, asked=settings is not None)
    if measures is None:
        chosen = suited(chosen, kinds)
    if depth is None:
        depth = DEPTH if rerank is None else RERANKED
    check_positive(depth=depth)
    folder = Path(runs) if runs is not None else None
    if folder and kinds == ["one-target"]:
        raise BadOption("one-target settings have no runs to write; name others, or leave runs out")
    seconds: dict[str, float] = {}
    with cluster_of(engine) as cluster:
        with _timed(seconds, "encoding"):
            seen = any(SETTING_KINDS[kind].has_images for kind in kinds)
            cure = _of_captions(judgements) if seen and scores is None else ""
            vectors = _vectors(model, collection, store, options, cluster, seen=seen, cure=cure)
        reranker = None
        if scores is not None:
            reranker = Reranker(scores, depth, Path(store) if store else None)
        scoring = Scoring(chosen, kinds, depth, folder, reranker, ranking_on(cluster))
        with _timed(seconds, "ranking and scoring"):
            if folder:
                clear_runs(folder)
            rows = scoring.scored(vectors.queries, vectors.passages, judgements, collection)
            table = table_of(collection, rows, chosen)
    provenance = build_provenance(
        replace(vectors.model, name=name or vectors.model.name),
        collection,
        unbiased(rows, chosen),
        depth=int(depth),
        reranker=reranker.describe() if reranker else None,
        truncation={
            "queries": vectors.queries.cut,
            "passages": vectors.passages.cut,
            **({"pairs": scoring.encoded.cut} if reranker else {}),  # once in each setting
        },
    )
    request = describe_request(
        collection,
        chosen,
        model,
        options,
        rerank=name_of(rerank),
        settings=tuple(kinds),
        depth=int(depth),
        name=name or None,
    )
    timing = build_timing(
        request,
        seconds,
        engine=engine,
        cluster=ClusterSize(cluster.cpus, cluster.gpus) if cluster else None,
        encoded_texts=vectors.encoded.texts,
        encoded_images=vectors.encoded.pictures or None,
        reranked_pairs=scoring.encoded.texts if reranker else None,
    )
    return Results(table, tuple(chosen), provenance, timing)


def _of_captions(judgements: Judgements) -> str:
    """Return what to ask for where a model reads no pictures, if there is anything."""
    kinds = [kind for kind in judgements.list_kinds() if not SETTING_KINDS[kind].has_images]
    alone = f"; or ask for settings of captions alone: settings={' '.join(kinds)!r}"
    return alone if kinds else ""


def checked(collection: Any) -> Collection:
    """Return a collection, or say how to make one of what was given."""
    if isinstance(collection, Collection):
        return collection
    cure = "load one with bh.load, or make one with bh.from_beir"
    if isinstance(collection, str):
        cure = f"bh.load({collection!r}) loads the dataset of that name"
    elif isinstance(collection, tuple):
        cure = "bh.from_beir(corpus, queries, qrels, languages) makes one of BEIR's dicts"
    raise BadOption(f"a collection is wanted, not a {type(collection).__name__}: {cure}")


def default_measures(collection: Collection) -> tuple[Measure, ...]:
    """Return the measures of a collection where none are named."""
    return IMAGE_MEASURES if collection.has_images else MEASURES


def suited(measures: Iterable[Measure], kinds: Iterable[KindName]) -> list[Measure]:
    """Leave out measures of bias that are of none of these kinds of settings."""
    there = set(kinds)
    return [m for m in measures if not isinstance(m, BiasMeasure) or m.SETTINGS & there]


def parsed(measures: str | Measure | Iterable[Measure | str]) -> list[Measure]:
    """Return measures, each once and fit for use.

    A text may name several, with spaces or commas between.
    """
    if isinstance(measures, str):
        measures = split_words(measures)
    elif isinstance(measures, Measure):
        measures = [measures]
    elif not isinstance(measures, Iterable):
        raise BadOption(f"measures are ir-measures' or their names, not {measures!r}")
    found = list(dict.fromkeys(_parsed(given) for given in measures))
    if not found:
        raise BadOption("no measure is named")
    return found


def _parsed(given: Measure | str) -> Measure:
    shown = f"{given!s:.80}"
    try:
        measure = parse_measure(given) if isinstance(given, str) else given
        measure.validate_params()
        known = isinstance(measure, BiasMeasure) or DefaultPipeline.supports(measure)
    except _UNFIT as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadOption(f"no measure {shown}: {_readable(reason)}") from error
    if measure.params.get("cutoff", 1) < 1:
        raise BadOption(f"no measure {shown}: its cutoff must be at least 1")
    if not known:
        raise _unsupported(measure, shown)
    return measure


# What ir-measures raises of a measure that cannot be, or of something else than a measure.
_UNFIT = (ValueError, NameError, SyntaxError, TypeError, AssertionError, AttributeError)

# What ir-measures' messages mean, by what stands in them; the first counts.
_READABLE = {
    "cutoff=<object object": "it needs a cutoff, as in R@10",
    "<object object": "a parameter is missing",
    "problem parsing measure values": (
        "values are numbers from 0 on, True, False and texts in quotes, as in P(rel=2)@10"
    ),
    "problem parsing": "measures look like AP, nDCG@10 or P(rel=2)@10",
    "has no attribute": "measures are ir-measures' or their names",
}


def _readable(reason: str) -> str:
    return next((text for part, text in _READABLE.items() if part in reason), reason)


def _unsupported(measure: Measure, shown: str) -> BeirHybridError:
    """Say which package a measure lacks, or which providers have one of that name."""
    for provider in DefaultPipeline.providers:
        if provider.supports(measure):
            return MissingExtra(f"{shown} needs {provider.NAME}: {provider.install_instructions()}")
    near = [
        f"{provider.NAME} has {one}"
        for provider in DefaultPipeline.providers
        for one in provider.SUPPORTED_MEASURES
        if one.NAME == measure.NAME
    ]
    return BadOption("; ".join([f"ir-measures has no provider for {shown}", *near]))


def clear_runs(runs: Path) -> None:
    """Remove the runs that an earlier evaluation wrote there, and nothing else."""
    with explain_write_errors(runs):
        for path in sorted(runs.glob("*-*.trec")):
            with path.open("rb") as file:
                ours = file.readline().split()[-1:] == [b"beir-hybrid"]  # the tag of our runs
            if ours:
                path.unlink()


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - started


def _vectors(
    model: Any,
    collection: Collection,
    store: str | Path | None,
    options: dict[str, Any],
    cluster: Cluster | None,
    *,
    seen: bool,
    cure: str,
) -> Vectors:
    """Return vectors of a collection's texts and, if they are `seen`, of its pictures."""
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
    folder, encoded = Path(store) if store is not None else None, Encoded()
    own = as_encoder(model, **options)
    with at_work(own, cluster) as encoder:
        if seen:
            image_encoder(encoder, cure)  # or it says at once that it reads none
        captions = join_titles(collection.view().passages)
        keep: dict[str, Any] = {"folder": folder, "encoded": encoded}
        tables = [collection.passages, collection.queries]
        if not seen:
            tables = [table.slice(0, 0) for table in tables]
        passages = _encoded(encoder, captions, "passages", tables[0], **keep)
        asked = collection.queries["text"]
        asked = asked.slice(0, len(asked) - collection.query_counts.get(IMAGE, 0))
        queries = _encoded(encoder, asked, "queries", tables[1], **keep)
        count = getattr(own, "n_parameters", None)
        provenance = ModelProvenance(
            name=called(encoder),
            revision=getattr(encoder, "revision", ""),
            fingerprint=dict(encoder.fingerprint),
            parameters=count if isinstance(count, int) else None,
        )
    return Vectors(queries, passages, provenance, encoded)


def _encoded(
    encoder: Encoder, texts: pa.ChunkedArray, role: Role, table: pa.Table, **keep: Any
) -> Embeddings:
    """Encode texts and, where a table has more rows, the pictures behind them."""
    pictures = table.slice(len(texts))
    if not len(pictures):
        return encode(encoder, texts, role, **keep)
    seen = encode(encoder, pictures["text"], "images", paths=pictures["image"], **keep)
    return Embeddings.joined([encode(encoder, texts, role, **keep), seen])


def called(encoder: Encoder) -> str:
    """Return a hub name as it is, and of a folder the last two parts: results may travel."""
    name = str(getattr(encoder, "name", "") or type(encoder).__name__)
    return "/".join(Path(name).parts[-2:]) if Path(name).is_dir() else name
