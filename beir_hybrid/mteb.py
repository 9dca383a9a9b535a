"""Collections as retrieval tasks of mteb, pools of all languages included."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import langcodes

from beir_hybrid.collection import Collection
from beir_hybrid.collection.checksum import hash_collection
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.setting import ALL, SETTING_KINDS, Setting
from beir_hybrid.errors import BadOption, MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

_SPLIT = "test"


def tasks(
    collection: Collection, *, settings: Iterable[str] | str | None = None
) -> "list[AbsTaskRetrieval]":
    """Return a task of mteb for each kind of setting of a collection.

    A setting is a subset of the task, the passages' language first, as mteb names subsets: German
    queries on English passages are ``en-de``, German queries on the pool ``all-de``. The name of a
    task ends with a checksum of the collection, so that mteb does not take the values of other
    texts, or of fewer languages, from its cache.

    Parameters
    ----------
    settings
        ``mono``, ``cross`` and ``multi``, one or several; by default all of these that there are.

    Examples
    --------
    >>> import mteb  # doctest: +SKIP
    >>> collection = bh.load("xquad-r", languages=["de", "en"])  # doctest: +SKIP
    >>> mteb.evaluate(model, beir_hybrid.mteb.tasks(collection))  # doctest: +SKIP
    """
    judgements = collection.resolve()
    if (judgements.relevance == SELF_MATCH).any():
        raise BadOption(
            f"queries of {collection.name} are among its passages; mteb would rank each of them "
            "for itself"
        )
    names = [settings] if isinstance(settings, str) else settings
    kinds = judgements.list_kinds(names)
    text_kinds = [kind for kind in kinds if kind in ("mono", "cross", "multi")]
    if missing := [kind for kind in kinds if names and kind not in text_kinds]:
        raise BadOption(f"mteb has no {missing[0]} settings; choose mono, cross or multi")
    return [_make_task(collection, collection.list_settings(kind)) for kind in text_kinds]


def _make_task(collection: Collection, settings: Sequence[Setting]) -> "AbsTaskRetrieval":
    """Return the task whose subsets are settings of one kind."""
    try:
        from mteb.abstasks.retrieval import AbsTaskRetrieval
    except ImportError as error:
        raise MissingExtra("tasks need mteb: pip install 'mteb>=2.26'") from error
    subsets = {_name_subset(setting): setting for setting in settings}

    @cache
    def load_passages(target: str) -> Any:
        setting = next(row for row in settings if row.passages == target)
        return _to_dataset(collection.view_setting(setting).passages, "id", "title", "text")

    class CollectionTask(AbsTaskRetrieval):
        """Settings of a collection."""

        metadata = _describe_task(collection, subsets)

        def load_data(self, num_proc: int | None = None, **_: Any) -> None:  # noqa: ARG002
            """Fill in the rows of the subsets to evaluate."""
            self.dataset = {}
            for subset in self.hf_subsets:
                view = collection.view_setting(subsets[subset])
                self.dataset[subset] = {
                    _SPLIT: {
                        "corpus": load_passages(subsets[subset].passages),
                        "queries": _to_dataset(view.queries, "id", "text"),
                        "relevant_docs": _group_judgements(view.qrels),
                        "top_ranked": None,
                    }
                }
            self.data_loaded = True

    return CollectionTask()


def _describe_task(collection: Collection, subsets: Mapping[str, Setting]) -> "TaskMetadata":
    """Return mteb's description of the task whose subsets are settings of one kind."""
    from mteb.abstasks.task_metadata import TaskMetadata

    kind = SETTING_KINDS[next(iter(subsets.values())).kind]
    checksum = hash_collection(collection)
    return TaskMetadata(
        # mteb takes results from its cache by this name, whatever the revision.
        name=f"{collection.name}-{kind.name}-{checksum[:8]}",
        description=f"{collection.name}: {kind.description}",
        type="Retrieval",
        category="t2t",
        dataset={"path": collection.name, "revision": checksum},
        eval_splits=[_SPLIT],
        eval_langs={subset: _list_tags(collection, row) for subset, row in subsets.items()},
        main_score="ndcg_at_10",
        reference=None,
        license=None,
    )


def _name_subset(setting: Setting) -> str:
    return f"{setting.passages}-{setting.queries}"


def _to_dataset(table: "pa.Table", *columns: str) -> Any:
    """Return columns of a table as a dataset of the library `datasets`."""
    from datasets import Dataset

    return Dataset.from_dict({column: table[column].to_pylist() for column in columns})


def _group_judgements(qrels: "pa.Table") -> Mapping[str, dict[str, int]]:
    """Return grades by id of queries and passages."""
    grades: dict[str, dict[str, int]] = {}
    for row in qrels.to_pylist():
        grades.setdefault(row["query_id"], {})[row["passage_id"]] = row["relevance"]
    return grades


def _list_tags(collection: Collection, setting: Setting) -> list[str]:
    """Return the languages of a setting as mteb writes them, the passages' first."""
    passages = collection.languages if setting.passages == ALL else (setting.passages,)
    languages = [langcodes.Language.get(code) for code in (*passages, setting.queries)]
    tags = [f"{lang.to_alpha3()}-{lang.maximize().script}" for lang in languages]
    return list(dict.fromkeys(tags)) if setting.passages == ALL else tags
