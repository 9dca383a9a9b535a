"""Evaluates a model on a collection in every setting, with values, intervals and bias."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from beir_hybrid.collection import Collection
from beir_hybrid.encoding.engines import open_cluster
from beir_hybrid.evaluation.arguments import ComputeOptions
from beir_hybrid.evaluation.build_results import build_results
from beir_hybrid.evaluation.measured_rankings import MeasuredRankings, average_unbiased
from beir_hybrid.evaluation.plan import EvaluationPlan, SettingNames, plan_evaluation
from beir_hybrid.evaluation.rerankers.reranker import Reranker
from beir_hybrid.evaluation.rerankers.selection import name_reranker
from beir_hybrid.evaluation.run_writer import RunWriter
from beir_hybrid.evaluation.stopwatch import Stopwatch
from beir_hybrid.evaluation.vector_calibration import calibrate_vectors
from beir_hybrid.evaluation.vector_evaluation import VectorEvaluation
from beir_hybrid.evaluation.vectors import CollectionVectors, find_vectors
from beir_hybrid.measures.parsing import MeasureNames
from beir_hybrid.results.provenance import Provenance, build_provenance
from beir_hybrid.results.request import describe_request
from beir_hybrid.results.results import Results
from beir_hybrid.results.timing import ClusterSize, build_timing
from beir_hybrid.retrieval.sharding import choose_ranker


# Longer than others: it is the one place that shows all steps of an evaluation in their order.
def evaluate(
    model: object,
    collection: Collection,
    *,
    measures: MeasureNames | None = None,
    settings: SettingNames | None = None,
    name: str = "",
    runs: str | Path | None = None,
    depth: int | None = None,
    rerank: object = None,
    **options: object,
) -> Results:
    """Evaluate a model on a collection in every setting.

    Texts are encoded once, whatever the number of settings, and ranks are exact, however long the
    ranking. Measures of language bias apply to pools of all languages: the ``multi`` settings, and
    ``image-pool`` for images.

    Parameters
    ----------
    model
        A hub name, a folder, an endpoint (``openai:MODEL@URL``), a ``SentenceTransformer``, an mteb
        model, an `Encoder`, or vectors from `read_vectors`.
    measures
        Measures of ir-measures, or their names; one or several. Those that depend on the ranks of
        judged passages alone are computed from exact ranks; others see runs of the `depth` best
        passages. By default the measures of `beir_hybrid.evaluation.default_measures`, those of
        bias only where they apply.
    settings
        ``mono``, ``cross``, ``multi``, ``one-target``, and with images ``text-image``,
        ``image-text``, ``image-pool`` and ``mixed``, one or several; by default all that the
        collection has except ``one-target``. A model that reads no images takes the first four.
    name
        The name of the model in the results; by default its name on the hub or its folder.
    runs
        A folder for the run of each setting, `depth` passages a query; ``one-target`` has none.
        Runs that an earlier evaluation left there are removed, other files are not.
    depth
        How many passages a run keeps of each query: 1000, or 100 where they are reranked.
    rerank
        A cross-encoder or late-interaction model (its name or folder, a ``CrossEncoder`` or a
        ``MultiVectorEncoder``) or an endpoint that puts the first `depth` passages of each ranking
        into its own order; or, for images and captions, a `BlipMatcher` or `LxmertMatcher`, or
        ``blip:`` and a name or folder. Only the kinds of settings that it can read are evaluated.
    options
        ``store``, the folder for embeddings (the cache by default); ``engine``, where to compute:
        ``local``, or ``ray``, on the cluster of the environment's RAY_ADDRESS; ``calibration``, to
        take language bias out: a `Calibration`, its folder, or a method such as ``local:k=3``,
        which is fitted to this collection; and options of the encoder, see `EncoderOptions`.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> collection = bh.load("xquad-r", languages=["de", "en"])  # doctest: +SKIP
    >>> results = bh.evaluate("intfloat/multilingual-e5-small", collection)  # doctest: +SKIP
    >>> results.summary()["mono"][AP].mean  # doctest: +SKIP
    """
    compute, stopwatch = ComputeOptions.parse(options), Stopwatch()
    plan = plan_evaluation(
        collection, measures, settings, depth,
        rerank=rerank, store=compute.store, writes_runs=runs is not None,
    )  # fmt: skip
    reranker = Reranker(plan.scorer, collection, plan.depth, compute.store) if plan.scorer else None
    run_writer = None if runs is None else RunWriter(Path(runs), collection, plan.list_settings())
    with open_cluster(compute.engine) as cluster:
        with stopwatch.timing("encoding"):
            vectors = find_vectors(model, collection, compute, cluster, image_cure=plan.image_cure)
            if compute.calibration:
                vectors = calibrate_vectors(
                    vectors, plan.judgements, compute.calibration, folder=compute.store
                )
        with stopwatch.timing("ranking and scoring"):
            rank = choose_ranker(cluster)
            evaluation = VectorEvaluation(plan, run_writer, reranker, rank, vectors.merge)
            parts = evaluation.evaluate(vectors.queries, vectors.passages)
            provenance = _describe_evaluation(collection, vectors, parts, plan, reranker, name)
            results = build_results(plan.judgements, parts, plan.measures, provenance)
    request = describe_request(
        collection, plan.measures, vectors, settings=tuple(plan.kinds),
        depth=plan.depth, rerank=name_reranker(rerank), name=name or None,
        calibration=compute.calibration_name,
    )  # fmt: skip
    timing = build_timing(
        request,
        stopwatch.seconds,
        engine=compute.engine,
        cluster=ClusterSize(cluster.cpus, cluster.gpus) if cluster else None,
        encoded_texts=vectors.stats.texts,
        encoded_images=vectors.stats.images or None,
        reranked_pairs=reranker.stats.texts if reranker else None,
    )
    return replace(results, timing=timing)


def _describe_evaluation(
    collection: Collection,
    vectors: CollectionVectors,
    parts: Sequence[MeasuredRankings],
    plan: EvaluationPlan,
    reranker: Reranker | None,
    name: str,
) -> Provenance:
    truncation = {"queries": vectors.queries.truncated, "passages": vectors.passages.truncated}
    if reranker:
        truncation["pairs"] = reranker.stats.truncated  # once in each setting
    return build_provenance(
        replace(vectors.model, name=name or vectors.model.name),
        collection,
        average_unbiased(parts, plan.measures),
        depth=plan.depth,
        reranker=reranker.describe() if reranker else None,
        truncation=truncation,
    )
