"""A model's card: its scores as the metadata that the hub shows, and as tables in the text."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from beir_hybrid.collection.setting import SETTING_KINDS
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.publication.card_paths import hide_paths_in_card
from beir_hybrid.publication.markdown import describe_scores, fence, show_text
from beir_hybrid.report.model_page import list_commands
from beir_hybrid.report.plain_files import is_plain_file
from beir_hybrid.results.local_paths import hide_path
from beir_hybrid.results.mteb import find_mteb_name
from beir_hybrid.results.results import Results
from beir_hybrid.text import escape_unprintable

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

CARD = "README.md"
_TASK, _TASK_NAME = "text-retrieval", "Multilingual retrieval"
_BEGINNING, _END = "<!-- scores by beir-hybrid -->", "<!-- end of scores -->"
# By the kind of a fingerprint: models of sentence-transformers.
_PIPELINE_TAGS: dict[object, str] = {
    "sentence-transformers": "sentence-similarity",
    "sparse": "feature-extraction",
    "late-interaction": "sentence-similarity",
}
_INTRODUCTION = (
    "Averages over settings with 95% intervals; queries that translate each other are resampled "
    "together. Monolingual: passages in the query's language alone. Cross-lingual: passages in one "
    "other language. Multilingual: the pool of all languages, where measures of language bias say "
    "how far the model prefers some. A measure of bias stands beside its unbiased value."
)


def build_card(systems: Sequence[Results], model: Path | None = None) -> "ModelCard":
    """Return the card of a model, with its scores on one collection or several.

    Parameters
    ----------
    systems
        Results of one model.
    model
        A folder whose card is kept: text and metadata stay, and scores are added or replaced.
    """
    from huggingface_hub import ModelCard

    names = list(dict.fromkeys(results.model for results in systems))
    if len(names) > 1:
        raise BadOption(
            f"a card is for one model, and these are {names[0]} and {names[1]}; evaluate both "
            "with the same --name, or write two cards"
        )
    collections = [results.collection for results in systems]
    if twice := [name for name in collections if collections.count(name) > 1]:
        raise BadOption(f"{len(twice)} of the results are on {twice[0]}, and would be one entry")
    name = escape_unprintable(hide_path(names[0]))
    path = None if model is None else model / CARD
    if path is not None and is_plain_file(path):
        card = read_card(path)
    else:
        card = ModelCard(f"---\n{{}}\n---\n\n# {show_text(names[0])}\n")
    _fill_metadata(card, name, systems)
    card.text = f"{_cut_scores(card.text).rstrip()}\n\n{_describe_all(systems)}\n"
    return card


def read_card(path: Path) -> "ModelCard":
    """Read a model's card, with placeholders for paths of this machine."""
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(path.read_text("utf-8"))
        hide_paths_in_card(card)
        data = cast("ModelCardData", card.data)
        languages: object = data.language
        if isinstance(languages, list):  # YAML takes Norwegian for False
            data.language = ["no" if tag is False else tag for tag in languages]
    except Exception as error:  # YAML of anybody's: the parser raises errors of its own
        raise BadData(f"{path}: the metadata of this card cannot be read: {error}") from error
    return card


def list_scores(results: Results) -> "Iterator[EvalResult]":
    """Yield an average of a measure in a kind of settings as the hub's metadata has it."""
    from huggingface_hub import EvalResult

    collection = results.provenance.collection
    revision = next((origin.revision for origin in collection.origins if origin.revision), None)
    name = escape_unprintable(hide_path(collection.name))
    for kind, row in results.summary().items():
        for measure, estimate in row.items():
            facts = {"low": estimate.low, "high": estimate.high, "unbiased": estimate.unbiased}
            yield EvalResult(
                task_type=_TASK,
                task_name=_TASK_NAME,
                dataset_type=name,
                dataset_name=f"{name}, {SETTING_KINDS[kind].label}",
                dataset_config=kind,
                dataset_revision=revision,
                metric_type=find_mteb_name(str(measure)),
                metric_name=f"{measure}, {SETTING_KINDS[kind].label}",
                metric_value=round(estimate.mean, 6),
                metric_args={
                    key: round(value, 6)
                    for key, value in facts.items()
                    if value is not None and not math.isnan(value)
                },
            )


def _fill_metadata(card: "ModelCard", name: str, systems: Sequence[Results]) -> None:
    """Add scores, languages and tags to a card; leave its other entries as they are."""
    data = cast("ModelCardData", card.data)
    scores = [score for results in systems for score in list_scores(results)]
    replaced = {score.unique_identifier for score in scores}
    previous = [
        score for score in data.eval_results or [] if score.unique_identifier not in replaced
    ]
    data.model_name = data.model_name or name
    data.eval_results = [*previous, *scores]
    languages = {code for results in systems for code in results.provenance.collection.languages}
    data.language = data.language or sorted({code.partition("-")[0] for code in languages})
    if tag := _PIPELINE_TAGS.get(systems[0].provenance.model.fingerprint.get("kind")):
        data.library_name = data.library_name or "sentence-transformers"
        data.pipeline_tag = data.pipeline_tag or tag
    data.tags = list(dict.fromkeys((*(data.tags or []), "retrieval", "multilingual")))


def _describe_all(systems: Sequence[Results]) -> str:
    """Return the section of scores, between two comments by which it is found again."""
    parts = [_BEGINNING, "## Retrieval in several languages", _INTRODUCTION]
    for results in systems:
        collection = results.provenance.collection
        parts.append(f"### {show_text(collection.name)}")
        parts.append(describe_scores(results))
        commands, obstacle = list_commands(results)
        if commands:
            parts += ["To reproduce:", fence(commands)]
        else:
            parts.append(f"There are no commands that reproduce this: {show_text(obstacle)}.")
    return "\n\n".join((*parts, _END))


def _cut_scores(text: str) -> str:
    """Return the text of a card without the section that an earlier call wrote."""
    head, beginning, rest = text.partition(_BEGINNING)
    _, end, tail = rest.partition(_END)
    return head.rstrip() + tail if beginning and end else text
