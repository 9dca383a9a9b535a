"""Files of SQuAD's shape, one a language: questions that their id joins, paragraphs or sentences.

XQuAD, MLQA, translations of SQuAD and LAReQA's files have this shape; the latter also say where
sentences begin and end. Translations of a question share their id, so that each has a gold in
every language of the question.
"""

from collections.abc import Iterable, Iterator, Mapping
from operator import index
from pathlib import Path
from typing import Any, Literal, NamedTuple

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.tables import TitlePolicy
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import is_file, sha256
from beir_hybrid.records import parse_json
from beir_hybrid.sources.bad_rows import BadRows, OnBad
from beir_hybrid.sources.sentences import find_splitter_version, split_sentences
from beir_hybrid.sources.spec import Dataset

Unit = Literal["paragraph", "sentence"]


class Question(NamedTuple):
    """A question, and the offsets in the paragraph at which its answers start."""

    key: str
    text: str
    answers: list[int]


class Paragraph(NamedTuple):
    """A paragraph with its sentences and questions.

    Attributes
    ----------
    where
        The file and number of the paragraph, for messages.
    breaks
        The offsets at which each sentence starts and ends; None where the file has none.
    """

    location: str
    title: str | None
    context: str
    breaks: list[tuple[int, int]] | None
    questions: list[Question]


def read_squad(
    files: Mapping[str, str | Path],
    *,
    unit: Unit = "paragraph",
    title_policy: TitlePolicy = "text",
    on_bad: OnBad = "refuse",
    name: str = "squad",
    licence: str = "",
) -> Collection:
    """Read a collection from files of SQuAD's shape, by language.

    Parameters
    ----------
    unit
        Whether a passage is a whole paragraph, or a sentence; the gold is the sentence in which an
        answer starts. Files without ``sentence_breaks`` are split by `sentencex`, an extra.
    title_policy
        Whether models read the title of an article before its paragraphs.
    on_bad
        ``"drop"`` leaves out paragraphs without text, questions without text or answer, questions
        whose answer is in no sentence, and questions whose id is there twice in a language; the
        collection records how many.

    Examples
    --------
    >>> import json
    >>> from tempfile import mkdtemp
    >>> folder, files = Path(mkdtemp()), {}
    >>> for lang, context, text in (("de", "Hier.", "Wo?"), ("en", "Here.", "Where?")):
    ...     question = {"id": "1", "question": text, "answers": [{"answer_start": 0}]}
    ...     article = {"title": "", "paragraphs": [{"context": context, "qas": [question]}]}
    ...     files[lang] = folder / f"{lang}.json"
    ...     _ = files[lang].write_text(json.dumps({"data": [article]}))
    >>> read_squad(files).view("de").to_beir()[2]
    {'de:q:1': {'de:0': 1, 'en:0': 1}}
    """
    if not files:
        raise BadOption("no file is named: files map languages to paths")
    paths = {lang: Path(path) for lang, path in files.items()}
    for path in paths.values():
        if not is_file(path):
            raise BadData(f"there is no file {path}")
    origins = [Origin(str(path.resolve()), sha256(path), "", lang) for lang, path in paths.items()]
    options = {"unit": unit, "on_bad": on_bad, **describe_splitter(paths.values(), unit)}
    recipe = {
        "squad": [[lang, origin.sha256] for lang, origin in zip(paths, origins, strict=True)],
        "paths": [origin.file for origin in origins],
        "options": {**options, "title_policy": title_policy, "name": name, "licence": licence},
    }

    def build(writer: CollectionWriter) -> None:
        bad_rows = BadRows(on_bad)
        convert_squad(paths, writer, unit, bad_rows)
        writer.finish(
            licence=licence,
            provenance=origins,
            options=options | bad_rows.record(writer),
            title_policy=title_policy,
        )

    return load_or_build(name, recipe, build)


def convert_squad(
    files: Mapping[str, Path],
    writer: CollectionWriter,
    unit: Unit,
    bad_rows: BadRows,
    prefix: str = "",
) -> None:
    """Write the questions, passages and golds of files in several languages.

    Ids of passages begin with `prefix`, so that several calls can write passages of a language.
    """
    golds: dict[str, list[str]] = {}
    queries: list[tuple[str, str]] = []
    for lang, path in files.items():
        question_keys: set[str] = set()
        for number, paragraph in enumerate(read_paragraphs(path)):
            spans = list_spans(paragraph, unit, lang)
            if not paragraph.context.strip():
                _note_blank(paragraph, bad_rows)
                continue
            ids = []
            for position, (start, end) in enumerate(spans):
                key = f"{prefix}{number}" + (f"-{position}" if unit == "sentence" else "")
                text = paragraph.context[start:end]
                title = paragraph.title or ""
                ids.append(writer.add_passage(lang, key, title, text) if text.strip() else "")
            for question in paragraph.questions:
                passages = _find_golds(question, spans, ids)
                if problem := _find_problem(question, passages, question_keys):
                    bad_rows.note(problem, f"{paragraph.location}: question {question.key!r}")
                    continue
                question_keys.add(question.key)
                golds.setdefault(question.key, []).extend(passages)
                queries.append(
                    (
                        writer.add_query(lang, question.key, question.text, question.key),
                        question.key,
                    )
                )
    for query, key in queries:
        for passage in golds[key]:
            writer.add_judgement(query, passage)


def _note_blank(paragraph: Paragraph, bad_rows: BadRows) -> None:
    bad_rows.note("paragraphs without text", paragraph.location)
    for question in paragraph.questions:
        location = f"{paragraph.location}: question {question.key!r}"
        bad_rows.note("questions of paragraphs without text", location)


def describe_splitter(paths: Iterable[Path], unit: Unit) -> dict[str, str]:
    """Return the version of the splitter if files need it."""
    has_breaks = unit == "paragraph" or all(map(has_sentence_breaks, paths))
    return {} if has_breaks else {"splitter": find_splitter_version()}


def has_sentence_breaks(path: Path) -> bool:
    """Return True if all paragraphs of a file have sentence breaks."""
    return all(paragraph.breaks is not None for paragraph in read_paragraphs(path))


def list_spans(paragraph: Paragraph, unit: Unit, lang: str) -> list[tuple[int, int]]:
    """Return the offsets at which each passage of a paragraph starts and ends."""
    if unit == "paragraph":
        return [(0, len(paragraph.context))]
    return (
        split_sentences(paragraph.context, lang) if paragraph.breaks is None else paragraph.breaks
    )


def _find_golds(
    question: Question, spans: list[tuple[int, int]], ids: list[str]
) -> dict[str, None]:
    """Return the passages in which answers of a question start, each once."""
    return {
        identity: None
        for answer in question.answers
        for (start, end), identity in zip(spans, ids, strict=True)
        if start <= answer < end and identity
    }


def _find_problem(
    question: Question, passages: Mapping[str, None], question_keys: set[str]
) -> str | None:
    if not question.text.strip():
        return "questions without text"
    if not question.answers:
        return "questions without an answer"
    if not passages:
        return "questions whose answer is in no passage"
    if question.key in question_keys:
        return "questions whose id is there twice"
    return None


def read_paragraphs(path: Path) -> Iterator[Paragraph]:
    """Yield the paragraphs of a file; raise `BadData` for a file of another shape."""
    location, number = str(path), 0
    try:
        for article in parse_json(path.read_bytes())["data"]:
            for paragraph in article["paragraphs"]:
                location, number = f"{path}, paragraph {number}", number + 1
                yield _parse_paragraph(article, paragraph, location)
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{location} is not SQuAD-shaped JSON: {error!r}") from error


def _parse_paragraph(article: Any, paragraph: Any, location: str) -> Paragraph:
    title, breaks = article.get("title"), paragraph.get("sentence_breaks")
    return Paragraph(
        location,
        None if title is None else _require_text(title),
        _require_text(paragraph["context"]),
        None if breaks is None else [(index(start), index(end)) for start, end in breaks],
        [
            Question(
                _require_text(question["id"]),
                _require_text(question["question"]),
                [index(answer["answer_start"]) for answer in question["answers"]],
            )
            for question in paragraph["qas"]
        ],
    )


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is not text")
    return value


def _load_squad(
    languages: tuple[str, ...] | None = None,
    *,
    files: dict[str, Path],
    unit: Unit = "paragraph",
    title_policy: TitlePolicy = "text",
    on_bad: OnBad = "refuse",
    name: str = "squad",
    licence: str = "",
) -> Collection:
    if languages is not None:
        raise BadOption("squad loads every file that is named, each as LANG=FILE")
    return read_squad(
        files, unit=unit, title_policy=title_policy, on_bad=on_bad, name=name, licence=licence
    )


SQUAD = Dataset(
    name="squad",
    summary="your own files of SQuAD's shape, one a language, joined by the ids of questions",
    load=_load_squad,
    licence="your own",
)
