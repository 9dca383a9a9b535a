"""Evaluates a model with several prompts, dimensions and precisions, from one encoding."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from beir_hybrid.checks import check_positive_or_none
from beir_hybrid.collection import Collection
from beir_hybrid.collection.setting import KindName
from beir_hybrid.encoding.embeddings import Embeddings
from beir_hybrid.encoding.engines import open_cluster
from beir_hybrid.encoding.precisions import VectorForm
from beir_hybrid.errors import BadOption
from beir_hybrid.evaluation.arguments import ComputeOptions, check_collection
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.plan import SettingNames, choose_kinds
from beir_hybrid.evaluation.rerankers.vectors import VectorScorer
from beir_hybrid.evaluation.vectors import CollectionVectors, find_vectors
from beir_hybrid.measures.parsing import MeasureNames
from beir_hybrid.results.results import Results

_SHOWN_PROMPT = 48  # characters of a prompt in the name of a row


def sweep(
    model: object,
    collection: Collection,
    *,
    query_prompts: Sequence[str] = (),
    dimensions: Sequence[int] = (),
    precisions: Sequence[str] = (),
    measures: MeasureNames | None = None,
    settings: SettingNames | None = None,
    name: str = "",
    **options: object,
) -> dict[str, Results]:
    """Evaluate a model with several prompts, dimensions and precisions, each with each.

    Passages are encoded once, and queries once a prompt. Results have the bytes of the passages in
    an index, ``provenance.model.index_bytes``.

    Parameters
    ----------
    model
        A dense model, as for `evaluate`.
    query_prompts
        Texts before each query, such as instructions; the model's own by default.
    dimensions
        How many dimensions to keep (Matryoshka models); all by default.
    precisions
        Of `beir_hybrid.encoding.precisions.PRECISIONS`: ``float32`` (the default), ``float16``,
        ``int8``, ``binary``, ``binary+rescoring``, ``binary+int8``, ``binary+float32``. In the last
        two, signs find the best `candidates` of each ranking, and vectors of the other precision
        put these in order.
    name
        What the names of results begin with; that of the model by default.
    options
        ``store`` and ``engine``, as for `evaluate`, options of the encoder, and ``candidates``: how
        many passages of a ranking are put in order, 100 by default.

    Returns
    -------
        Results by name: the model's, and what differs.

    Examples
    --------
    >>> rows = sweep("my-model", collection, precisions=["float32", "int8"])  # doctest: +SKIP
    >>> rows["my-model, int8"].provenance.model.index_bytes  # doctest: +SKIP
    9993216
    """
    if check_collection(collection).resolve().has_images:
        raise BadOption(f"{collection.name} has images, and a sweep takes texts alone")
    candidates = cast("int | None", options.pop("candidates", None))
    check_positive_or_none(candidates=candidates)
    compute = ComputeOptions.parse(options)
    if compute.calibration:
        raise BadOption("a sweep takes no calibration; evaluate with it, or leave it out")
    forms = list_forms(dimensions, precisions)
    _check_rescoring(forms, candidates, choose_kinds(collection.resolve(), settings))
    results: dict[str, Results] = {}
    for label, encoder_options in _list_prompts(query_prompts):
        encoder = {**compute.encoder, **encoder_options}
        with open_cluster(compute.engine) as cluster:
            vectors = find_vectors(model, collection, replace(compute, encoder=encoder), cluster)
        for form in forms:
            parts = [name or vectors.model.name, *form.describe(has_precision=bool(precisions))]
            row = ", ".join([*parts, label] if label else parts)
            with TemporaryDirectory(prefix="beir-hybrid-") as folder:
                converted = convert_vectors(vectors, form, Path(folder, "index"))
                scorer = _make_rescorer(vectors, form, Path(folder, "rescoring"))
                results[row] = evaluate(
                    converted, collection, measures=measures, settings=settings, name=row,
                    rerank=scorer, depth=candidates if scorer else None,
                    store=compute.store, engine=compute.engine,
                )  # fmt: skip
    return results


def _check_rescoring(
    forms: Sequence[VectorForm], candidates: int | None, kinds: Sequence[KindName]
) -> None:
    """Raise `BadOption`, before anything is encoded, for settings that no vectors rerank."""
    if not any(form.rescoring for form in forms):
        if candidates is not None:
            raise BadOption("candidates are put in order by binary+int8 or binary+float32 alone")
        return
    other_kinds = [kind for kind in kinds if kind not in VectorScorer.setting_kinds]
    if other_kinds:
        raise BadOption(
            f"binary+int8 and binary+float32 put candidates in order, and not those of "
            f"{', '.join(other_kinds)} settings: leave these out, or those"
        )


def list_forms(dimensions: Sequence[int], precisions: Sequence[str]) -> list[VectorForm]:
    """List the forms of vectors, each number of dimensions with each precision."""
    _check_distinct("dimensions", dimensions)
    _check_distinct("precisions", precisions)
    dims: Sequence[int | None] = dimensions or [None]
    return [VectorForm(dim, precision) for dim in dims for precision in precisions or ["float32"]]


def convert_vectors(
    vectors: CollectionVectors, form: VectorForm, folder: Path
) -> CollectionVectors:
    """Return a collection's vectors in another form, which lie in a folder."""
    queries, passages, model = vectors.queries, vectors.passages, vectors.model
    if not isinstance(queries, Embeddings) or not isinstance(passages, Embeddings):
        raise BadOption(
            f"dimensions and precisions are those of dense vectors, and {model.name} is no dense "
            "model"
        )
    form.check_dimensions(passages.dim)
    facts = {"precision": form.precision, "dimensions": form.dim or passages.dim}
    model = replace(
        model,
        fingerprint={**model.fingerprint, **facts},
        index_bytes=form.count_bytes(len(passages), passages.dim),
    )
    folder.mkdir()
    queries, passages = form.convert(queries, passages, folder)
    return replace(vectors, queries=queries, passages=passages, model=model, load_request=None)


def _make_rescorer(
    vectors: CollectionVectors, form: VectorForm, folder: Path
) -> VectorScorer | None:
    """Return the reranking of candidates, with its vectors in a folder; None without one."""
    if form.rescoring is None:
        return None
    model = convert_vectors(vectors, form.rescoring, folder)
    queries, passages = cast("Embeddings", model.queries), cast("Embeddings", model.passages)
    name = f"{form.rescoring.precision} vectors"
    return VectorScorer(name, model.model.fingerprint, queries, passages)


def _list_prompts(prompts: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a label for each prompt, and its option of the encoder."""
    _check_distinct("query_prompts", prompts)
    if not prompts:
        yield "", {}
    labels = [textwrap.shorten(prompt, _SHOWN_PROMPT, placeholder=" ...") for prompt in prompts]
    if len(set(labels)) < len(labels):
        labels = [*prompts]
    for label, prompt in zip(labels, prompts, strict=True):
        yield f"prompt {label!r}", {"query_prompt": prompt}


def _check_distinct(argument: str, values: Sequence[object]) -> None:
    """Raise `BadOption` for a text in place of a list, and for a value that comes twice."""
    if isinstance(values, str):
        raise BadOption(f"{argument} is {values!r:.80}; it must be a list")
    if twice := next((value for i, value in enumerate(values) if value in values[:i]), None):
        raise BadOption(f"{argument} has {twice!r:.80} twice")
