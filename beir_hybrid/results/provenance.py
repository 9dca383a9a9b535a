"""The provenance of results: the model, collection and settings that values depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from beir_hybrid._version import __version__
from beir_hybrid.collection import Collection
from beir_hybrid.collection.checksum import hash_collection
from beir_hybrid.collection.origin import Origin
from beir_hybrid.collection.setting import IMAGE
from beir_hybrid.collection.tables import CollectionTables
from beir_hybrid.records import ALL_OTHER_KEYS, json_key
from beir_hybrid.results.machine import list_versions


@dataclass(frozen=True)
class ModelProvenance:
    """A model, or another system whose rankings were evaluated.

    Attributes
    ----------
    fingerprint
        Everything that its vectors or scores depend on; ``kind`` says what sort of system it is.
    parameters
        How many there are, where the encoder counts them.
    licence
        As the model's card names it; empty where it names none.
    calibration
        The method that took language bias out, and the data that it was fitted on.
    terms
        How many terms of ``queries`` and ``passages`` of a sparse model have a weight, on average.
    index_bytes
        Of the vectors of all passages, where `sweep` converted them.
    trained_on
        How many of the collection's distinct queries were ``shared`` with the training data, of
        how many that could be ``compared``; empty where the training is not recorded.
    """

    name: str
    revision: str = ""
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    licence: str = field(default="", metadata=json_key("licence", omit_empty=True))
    calibration: Mapping[str, Any] | None = None
    terms: Mapping[str, float] | None = None
    index_bytes: int | None = None
    trained_on: Mapping[str, int] = field(
        default_factory=dict, metadata=json_key("trained on", omit_empty=True)
    )


@dataclass(frozen=True)
class CollectionProvenance:
    """A collection, the files that it was made from, and its size.

    Attributes
    ----------
    options
        Of the dataset.
    original_ids
        Whether the origin had ids of its own.
    caveat
        Why figures on it cannot be compared with published ones; empty if they can.
    passage_language
        That of all passages, where queries are in several.
    images
        How many there are, where there are any.
    sha256
        Of its ids, texts and judgements, where no origin tells its content.
    """

    name: str
    licence: str = ""
    citation: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    title_policy: str = ""
    original_ids: bool = False
    caveat: str = ""
    origins: tuple[Origin, ...] = field(default=(), metadata=json_key("provenance"))
    languages: tuple[str, ...] = ()
    passage_language: str | None = None
    images: int | None = field(default=None, metadata=json_key("pictures"))
    queries: int = 0
    passages: int = 0
    sha256: str = field(default="", metadata=json_key("sha256", omit_empty=True))

    @property
    def identity(self) -> dict[str, Any]:
        """The facts by which two collections are told apart, by their keys in JSON.

        Of local files the name counts: copies may lie anywhere, and pages hide their folders.
        """
        origins = [replace(origin, file=_name_file(origin.file)) for origin in self.origins]
        return {
            "name": self.name,
            "languages": self.languages,
            "options": self.options,
            "title_policy": self.title_policy,
            "provenance": tuple(origins),
            "sha256": self.sha256,
        }


def _name_file(file: str) -> str:
    """Return the address of a file, or the name of a local one."""
    return file if "://" in file else PurePath(file).name


@dataclass(frozen=True)
class RerankerProvenance:
    """The model that put the best `depth` passages of each ranking into its own order."""

    name: str = field(metadata=json_key("reranker"))
    depth: int = 0
    fingerprint: Mapping[str, Any] = field(default_factory=dict, metadata=ALL_OTHER_KEYS)


@dataclass(frozen=True)
class RunsProvenance:
    """How complete runs are, where measures saw runs.

    Attributes
    ----------
    queries
        How many rankings there should be.
    missing
        How many of them the runs lack.
    missing_by_language
        By the queries' language: how many are missing, and of how many.
    unmatched
        How many rankings of BM25 are empty, because no passage shares a term with the query.
    ignored
        How many queries of the runs are left out, for they have no relevant passage here.
    without_gold
        How many rankings of pools hold none of the relevant passages, which are in several
        languages: rank distance and language preference count that as fully biased.
    depth
        The most passages that a run holds of a query.
    """

    queries: int
    missing: int
    missing_by_language: Mapping[str, tuple[int, int]] = field(
        default_factory=dict, metadata=json_key("missing by language", omit_empty=True)
    )
    unmatched: int | None = None
    ignored: int | None = None
    without_gold: int | None = field(
        default=None, metadata=json_key("without gold", omit_empty=True)
    )
    depth: int = 0


@dataclass(frozen=True)
class Provenance:
    """Everything that the values of results depend on: equal provenance means equal values.

    Attributes
    ----------
    version
        Of beir-hybrid.
    depth
        How many passages of each ranking a run keeps.
    unbiased
        The value that each measure of bias has without bias, in ``multi`` settings.
    unbiased_elsewhere
        The same by other kinds of settings, for measures that apply to them.
    truncation
        How many ``queries``, ``passages`` and, with a reranker, ``pairs`` are longer than the model
        reads; None where the encoder does not tell.
    versions
        Of other packages that can change values.
    """

    version: str = field(default="", kw_only=True, metadata=json_key("beir-hybrid"))
    model: ModelProvenance
    collection: CollectionProvenance
    depth: int | None = None
    reranker: RerankerProvenance | None = None
    unbiased: Mapping[str, float] = field(default_factory=dict)
    unbiased_elsewhere: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict, metadata=json_key("unbiased in", omit_empty=True)
    )
    truncation: Mapping[str, int | None] = field(
        default_factory=dict, metadata=json_key("truncated", omit_empty=True)
    )
    versions: Mapping[str, str] = field(default_factory=dict)
    runs: RunsProvenance | None = None

    def list_unbiased(self, kind: str) -> Mapping[str, float]:
        """Return the unbiased value of each measure of bias in a kind of settings, by name."""
        return self.unbiased if kind == "multi" else self.unbiased_elsewhere.get(kind, {})


def build_provenance(
    model: ModelProvenance,
    collection: Collection,
    unbiased: Mapping[str, Mapping[str, float]],
    *,
    depth: int | None = None,
    reranker: RerankerProvenance | None = None,
    truncation: Mapping[str, int | None] | None = None,
    runs: RunsProvenance | None = None,
) -> Provenance:
    """Return the provenance of new results; see `Provenance`.

    Parameters
    ----------
    unbiased
        By kind of setting and name of measure.
    """
    elsewhere = {kind: values for kind, values in unbiased.items() if kind != "multi"}
    return Provenance(
        model=model,
        collection=describe_collection(collection),
        depth=depth,
        reranker=reranker,
        unbiased=unbiased.get("multi", {}),
        unbiased_elsewhere=elsewhere,
        truncation=truncation or {},
        versions=list_versions(),
        runs=runs,
        version=__version__,
    )


def describe_collection(collection: CollectionTables) -> CollectionProvenance:
    """Return the provenance of a collection."""
    counts = collection.passage_counts, collection.query_counts
    languages = tuple(collection.languages)
    text_languages = [lang for lang in languages if counts[0].get(lang)]
    return CollectionProvenance(
        name=collection.name,
        licence=collection.licence,
        citation=collection.citation,
        options=collection.options,
        title_policy=collection.title_policy,
        original_ids=collection.original_ids,
        caveat=collection.caveat,
        origins=collection.provenance,
        languages=languages,
        passage_language=text_languages[0] if len(text_languages) == 1 < len(languages) else None,
        images=max(count.get(IMAGE, 0) for count in counts) or None,
        queries=len(collection.queries),
        passages=len(collection.passages),
        sha256="" if collection.provenance else hash_collection(collection),
    )
