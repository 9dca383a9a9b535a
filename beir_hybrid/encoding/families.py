"""Tell the family of a model from its files, before it is loaded.

sentence-transformers loads a sparse model, a late-interaction model or a cross-encoder as a dense
one, mean-pooled, when it is told to: figures of such a model are wrong and look right. So the files
decide, and files that contradict each other are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from beir_hybrid.encoding.model_files import ModelFiles
from beir_hybrid.errors import BadData, BadOption, lookup

Family = Literal["dense", "sparse", "late-interaction", "cross-encoder"]
FAMILIES: tuple[Family, ...] = get_args(Family)

# Classes of sentence-transformers, which it saves as `model_type`; ColBERT is PyLate's.
_CLASSES: dict[str, Family] = {
    "SentenceTransformer": "dense",
    "SparseEncoder": "sparse",
    "MultiVectorEncoder": "late-interaction",
    "ColBERT": "late-interaction",
    "CrossEncoder": "cross-encoder",
}
# Modules that no other family has. A sparse model may pool tokens, so pooling makes a model dense
# only where nothing says otherwise.
_MODULES: dict[str, Family] = {
    "SpladePooling": "sparse",
    "MLMTransformer": "sparse",
    "SparseAutoEncoder": "sparse",
    "CSRSparsity": "sparse",
    "SparseStaticEmbedding": "sparse",
    "IDF": "sparse",
    "MultiVectorMask": "late-interaction",
    "LogitScore": "cross-encoder",
}
_POOLING = frozenset(
    ("Pooling", "WeightedLayerPooling", "StaticEmbedding", "WordEmbeddings", "BoW", "LSTM", "CNN")
)
_CONFIG, _MODULE_LIST = "config_sentence_transformers.json", "modules.json"
_CURES: dict[Family, str] = {
    "dense": "it makes vectors, so give it as the model",
    "sparse": "it retrieves by terms",
    "late-interaction": "it retrieves by vectors of tokens",
    "cross-encoder": "it scores pairs, so give it as rerank, beside a model that retrieves",
}


class Evidence(NamedTuple):
    """A file of a model that tells its family, and the entry that tells it."""

    family: Family
    file: str
    entry: str

    def __str__(self) -> str:
        return f"{self.file} has {self.entry}"


@dataclass(frozen=True)
class _SavedModel:
    """The contents of ``config_sentence_transformers.json`` that tell a family."""

    model_type: str | None = None


@dataclass(frozen=True)
class _Module:
    """An entry of ``modules.json``: the class of a module and its folder."""

    type: str = ""
    path: str = ""


@dataclass(frozen=True)
class _Router:
    """The contents of ``router_config.json``: the classes of the modules on each route."""

    types: dict[str, str]


@dataclass(frozen=True)
class TransformerConfig:
    """The contents of ``config.json`` that tell a family."""

    architectures: list[str] | None = None

    def find_head(self, *endings: str) -> str | None:
        """Return the first architecture with one of these endings."""
        return next((name for name in self.architectures or [] if name.endswith(endings)), None)


def find_family(files: ModelFiles) -> Evidence | None:
    """Return the family that the files of a model tell, or None if they tell none.

    Raises
    ------
    BadData
        If the files tell two families.
    """
    evidence = [*_read_config(files), *_read_modules(files), *_read_transformer(files)]
    if not evidence:
        files.check_main_files()
        return None
    contradiction = next((item for item in evidence if item.family != evidence[0].family), None)
    if contradiction:
        raise BadData(
            f"{files.name} has files of two models: {evidence[0]}, of a {evidence[0].family} "
            f"model, and {contradiction}, of a {contradiction.family} one; save the model again, "
            "into an empty folder"
        )
    return evidence[0]


def check_family(files: ModelFiles, families: tuple[Family, ...]) -> Family | None:
    """Return the family of a model, None if its files tell none.

    Raises
    ------
    BadOption
        If it is none of some families.
    """
    evidence = find_family(files)
    if evidence and evidence.family not in families:
        raise _refuse_family(files.name, evidence.family, str(evidence), families)
    return evidence.family if evidence else None


def check_object_family(model: object, families: tuple[Family, ...]) -> Family | None:
    """Return the family of an object of sentence-transformers, None for any other object.

    Raises
    ------
    BadOption
        If it is none of some families.
    """
    names = [kind.__name__ for kind in type(model).__mro__]
    family = next((_CLASSES[name] for name in names if name in _CLASSES), None)
    if family and family not in families:
        raise _refuse_family(f"this {type(model).__name__}", family, "", families)
    return family


def _refuse_family(
    name: str, family: Family, evidence: str, families: tuple[Family, ...]
) -> BadOption:
    place = f" ({evidence})" if evidence else ""
    return BadOption(
        f"{name} is a {family} model{place}, and a {' or '.join(families)} one is wanted; "
        f"{_CURES[family]}"
    )


def _read_config(files: ModelFiles) -> Iterator[Evidence]:
    config = files.read(_CONFIG, _SavedModel)
    if config and config.model_type:
        place = f"model_type in {_CONFIG} of {files.name}:"
        family = lookup(f"{place} class of models", config.model_type, _CLASSES)
        yield Evidence(family, _CONFIG, f"model_type {config.model_type}")


def _read_modules(files: ModelFiles) -> Iterator[Evidence]:
    """Yield the module that tells the family of a model."""
    modules = files.read(_MODULE_LIST, list[_Module]) or []
    names = [module.type for module in modules]
    for module in modules:
        if module.type.endswith(".Router"):
            router = files.read(f"{module.path}/router_config.json".lstrip("/"), _Router)
            names += router.types.values() if router else ()
    by_class = {name.rpartition(".")[2]: name for name in names}
    for class_name, name in by_class.items():
        if family := _MODULES.get(class_name):
            yield Evidence(family, _MODULE_LIST, name)
            return
    if any(name.startswith("pylate.") for name in names):
        yield Evidence("late-interaction", _MODULE_LIST, "modules of PyLate")
    elif pooling := next((name for key, name in by_class.items() if key in _POOLING), None):
        yield Evidence("dense", _MODULE_LIST, pooling)


def _read_transformer(files: ModelFiles) -> Iterator[Evidence]:
    """Yield the architecture that tells the family of a model."""
    config = files.read("config.json", TransformerConfig)
    if config and (name := config.find_head("HF_ColBERT")):
        yield Evidence("late-interaction", "config.json", name)
    elif config and (name := config.find_head("ForSequenceClassification")):
        yield Evidence("cross-encoder", "config.json", name)
