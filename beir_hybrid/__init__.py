"""Train, evaluate and serve language-agnostic retrievers.

For a collection in several languages, the package computes rankings of every setting, measures of
effectiveness and measures of language bias.

Names are imported when they are first used, so that importing the package is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Importing registers the measures of bias with ir-measures; it is cheap.
import beir_hybrid.measures  # noqa: F401 - for what it registers
from beir_hybrid import errors as errors
from beir_hybrid._version import __version__ as __version__
from beir_hybrid.errors import BeirHybridError as BeirHybridError

if TYPE_CHECKING:
    from beir_hybrid.batches.audit_callback import BatchAuditCallback as BatchAuditCallback
    from beir_hybrid.batches.sampler import HybridBatchSampler as HybridBatchSampler
    from beir_hybrid.batches.strategies import parse_strategy as parse_strategy
    from beir_hybrid.calibration import Calibration as Calibration
    from beir_hybrid.calibration import calibrate as calibrate
    from beir_hybrid.collection import Collection as Collection
    from beir_hybrid.collection import CollectionWriter as CollectionWriter
    from beir_hybrid.collection import View as View
    from beir_hybrid.collection import read_folder as read_folder
    from beir_hybrid.collection import read_jsonl as read_jsonl
    from beir_hybrid.collection import write_folder as write_folder
    from beir_hybrid.collection.beir_dicts import from_beir as from_beir
    from beir_hybrid.curation.conversion import export_groups as export_groups
    from beir_hybrid.curation.conversion import export_pairs as export_pairs
    from beir_hybrid.curation.conversion import import_pairs as import_pairs
    from beir_hybrid.curation.filtering import filter_pairs as filter_pairs
    from beir_hybrid.curation.mining import mine_negatives as mine_negatives
    from beir_hybrid.curation.translation import translate_pairs as translate_pairs
    from beir_hybrid.encoding import Encoder as Encoder
    from beir_hybrid.encoding import EncoderOptions as EncoderOptions
    from beir_hybrid.encoding import SentenceTransformerEncoder as SentenceTransformerEncoder
    from beir_hybrid.encoding import encode as encode
    from beir_hybrid.encoding.vision import from_vision_text as from_vision_text
    from beir_hybrid.evaluation.clip_score import ClipScore as ClipScore
    from beir_hybrid.evaluation.clip_score import compute_clip_score as compute_clip_score
    from beir_hybrid.evaluation.evaluate import evaluate as evaluate
    from beir_hybrid.evaluation.evaluator import HybridEvaluator as HybridEvaluator
    from beir_hybrid.evaluation.external_runs import evaluate_runs as evaluate_runs
    from beir_hybrid.evaluation.external_vectors import read_vectors as read_vectors
    from beir_hybrid.evaluation.rerankers.blip import BlipMatcher as BlipMatcher
    from beir_hybrid.evaluation.sweep import sweep as sweep
    from beir_hybrid.extras.ablation import ablate as ablate
    from beir_hybrid.extras.demonstration import quickstart as quickstart
    from beir_hybrid.extras.language_adapters import LanguageAdapters as LanguageAdapters
    from beir_hybrid.extras.language_adapters import train_adapters as train_adapters
    from beir_hybrid.extras.lxmert import LxmertMatcher as LxmertMatcher
    from beir_hybrid.extras.tip_cache import TipCache as TipCache
    from beir_hybrid.measures.bias.language_disparity import LanguageDisparity as LanguageDisparity
    from beir_hybrid.measures.bias.language_exposure import LanguageExposure as LanguageExposure
    from beir_hybrid.measures.bias.language_preference import (
        LanguagePreference as LanguagePreference,
    )
    from beir_hybrid.measures.bias.modality_share import ModalityShare as ModalityShare
    from beir_hybrid.measures.bias.peer import PEER as PEER
    from beir_hybrid.measures.bias.rank_distance import RankDistance as RankDistance
    from beir_hybrid.measures.bias.same_language_share import SameLanguageShare as SameLanguageShare
    from beir_hybrid.measures.bias.target_languages_recall import TLR as TLR
    from beir_hybrid.pairs.code_switching import code_switch as code_switch
    from beir_hybrid.pairs.joining import join_pairs as join_pairs
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs as ParallelPairs
    from beir_hybrid.pairs.reading import pairs_from_bitext as pairs_from_bitext
    from beir_hybrid.pairs.reading import pairs_from_collection as pairs_from_collection
    from beir_hybrid.pairs.reading import pairs_from_groups as pairs_from_groups
    from beir_hybrid.pairs.reading import read_pairs as read_pairs
    from beir_hybrid.publication.push import push as push
    from beir_hybrid.pyserini.bm25 import bm25 as bm25
    from beir_hybrid.pyserini.dense import DenseIndex as DenseIndex
    from beir_hybrid.pyserini.dense import open_index as open_index
    from beir_hybrid.pyserini.fusion import fuse as fuse
    from beir_hybrid.pyserini.index import build_index as build_index
    from beir_hybrid.pyserini.query_encoder import QueryEncoder as QueryEncoder
    from beir_hybrid.pyserini.topics import write_topics as write_topics
    from beir_hybrid.report.reproduce import reproduce_commands as reproduce_commands
    from beir_hybrid.report.site import leaderboard as leaderboard
    from beir_hybrid.results.compare import compare as compare
    from beir_hybrid.results.compare import rank_systems as rank_systems
    from beir_hybrid.results.mteb import read_mteb as read_mteb
    from beir_hybrid.results.mteb import write_mteb as write_mteb
    from beir_hybrid.results.results import Results as Results
    from beir_hybrid.retrieval.merge_runs import merge as merge
    from beir_hybrid.retrieval.runs import read_run as read_run
    from beir_hybrid.retrieval.runs import write_run as write_run
    from beir_hybrid.sources import Dataset as Dataset
    from beir_hybrid.sources import datasets as datasets
    from beir_hybrid.sources import load as load
    from beir_hybrid.sources.squad import read_squad as read_squad
    from beir_hybrid.training.dev_set import DevSet as DevSet
    from beir_hybrid.training.family_losses import HybridCrossLoss as HybridCrossLoss
    from beir_hybrid.training.family_losses import HybridLateLoss as HybridLateLoss
    from beir_hybrid.training.family_losses import HybridSparseLoss as HybridSparseLoss
    from beir_hybrid.training.loss import HybridContrastiveLoss as HybridContrastiveLoss
    from beir_hybrid.training.train import train as train
    from beir_hybrid.training.tuning import Tuning as Tuning
    from beir_hybrid.training.variants import Variant as Variant

_MODULES = {
    "BatchAuditCallback": "batches.audit_callback",
    "Calibration": "calibration",
    "BlipMatcher": "evaluation.rerankers.blip",
    "ClipScore": "evaluation.clip_score",
    "Collection": "collection",
    "CollectionWriter": "collection",
    "Dataset": "sources",
    "DenseIndex": "pyserini.dense",
    "DevSet": "training.dev_set",
    "Encoder": "encoding",
    "EncoderOptions": "encoding",
    "HybridBatchSampler": "batches.sampler",
    "HybridContrastiveLoss": "training.loss",
    "HybridCrossLoss": "training.family_losses",
    "HybridLateLoss": "training.family_losses",
    "HybridSparseLoss": "training.family_losses",
    "HybridEvaluator": "evaluation.evaluator",
    "LanguageAdapters": "extras.language_adapters",
    "LanguageDisparity": "measures.bias.language_disparity",
    "LanguageExposure": "measures.bias.language_exposure",
    "LanguagePreference": "measures.bias.language_preference",
    "LxmertMatcher": "extras.lxmert",
    "ModalityShare": "measures.bias.modality_share",
    "PEER": "measures.bias.peer",
    "ParallelPairs": "pairs.parallel_pairs",
    "QueryEncoder": "pyserini.query_encoder",
    "RankDistance": "measures.bias.rank_distance",
    "Results": "results.results",
    "SameLanguageShare": "measures.bias.same_language_share",
    "TLR": "measures.bias.target_languages_recall",
    "SentenceTransformerEncoder": "encoding",
    "TipCache": "extras.tip_cache",
    "Variant": "training.variants",
    "View": "collection",
    "ablate": "extras.ablation",
    "bm25": "pyserini.bm25",
    "build_index": "pyserini.index",
    "compute_clip_score": "evaluation.clip_score",
    "code_switch": "pairs.code_switching",
    "calibrate": "calibration",
    "compare": "results.compare",
    "datasets": "sources",
    "encode": "encoding",
    "evaluate": "evaluation.evaluate",
    "evaluate_runs": "evaluation.external_runs",
    "export_groups": "curation.conversion",
    "export_pairs": "curation.conversion",
    "filter_pairs": "curation.filtering",
    "from_beir": "collection.beir_dicts",
    "from_vision_text": "encoding.vision",
    "fuse": "pyserini.fusion",
    "import_pairs": "curation.conversion",
    "join_pairs": "pairs.joining",
    "leaderboard": "report.site",
    "load": "sources",
    "merge": "retrieval.merge_runs",
    "mine_negatives": "curation.mining",
    "open_index": "pyserini.dense",
    "pairs_from_bitext": "pairs.reading",
    "pairs_from_collection": "pairs.reading",
    "pairs_from_groups": "pairs.reading",
    "parse_strategy": "batches.strategies",
    "push": "publication.push",
    "quickstart": "extras.demonstration",
    "read_folder": "collection",
    "read_jsonl": "collection",
    "read_mteb": "results.mteb",
    "read_pairs": "pairs.reading",
    "read_squad": "sources.squad",
    "read_run": "retrieval.runs",
    "read_vectors": "evaluation.external_vectors",
    "reproduce_commands": "report.reproduce",
    "rank_systems": "results.compare",
    "sweep": "evaluation.sweep",
    "train": "training.train",
    "Tuning": "training.tuning",
    "train_adapters": "extras.language_adapters",
    "translate_pairs": "curation.translation",
    "write_folder": "collection",
    "write_mteb": "results.mteb",
    "write_run": "retrieval.runs",
    "write_topics": "pyserini.topics",
}

__all__ = [*_MODULES, "BeirHybridError", "__version__", "errors"]  # noqa: PLE0604 - the table's keys are strings


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'beir_hybrid' has no attribute {name!r}")
    return getattr(import_module(f"beir_hybrid.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
