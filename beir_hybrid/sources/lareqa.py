"""XQuAD-R and MLQA-R (LAReQA): questions whose gold is a sentence, in up to 11 languages.

The rules are those of Roy et al. 2020, arXiv 2004.05484. Every sentence is a passage, duplicates
included. The gold of a question is the first sentence in which its answer starts. Translations of a
question share their id, so that each has a gold in every language of the question.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.download import Remote, fetch
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.files import is_file, sha256
from beir_hybrid.languages import normalise
from beir_hybrid.sources.spec import Dataset, announce
from beir_hybrid.sources.squad import Question, describe_splitter, list_spans, read_paragraphs

PassageText = Literal["sentence", "sentence+context"]
_ORIGIN = "https://raw.githubusercontent.com/google-research-datasets/lareqa"
_MOST_BYTES = 1 << 22  # of a file; the largest has 3.3 MB
_REVISIONS = {
    "xquad-r": "9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c",
    # Removed from later commits; this one still serves it.
    "mlqa-r": "354d67d1cd066854cdfbf5ad0e6105528976141d",
}
_SHA256 = {
    "xquad-r": {
        "ar": "c52922d3b8ac1ae03ed5ac38647ad59870dca3dda2beefe18ecdc30729acb69d",
        "de": "16fb0f4bf4916154b585a20c24c66074591c9718a1affe764ff4697572328949",
        "el": "163fd43ee785a30eb534ae2061e9eaa766a7ee4e8ffce5e4b422480c150f64b6",
        "en": "7b0954f39297c27a31fef610f0883337dd2907fa8699151dc922afdd0fa12ffe",
        "es": "f8e836b2d91009c4363e04315f7ede363eedbbb49c67dda60de6c4aa782f58de",
        "hi": "ea45ba8ae4513d1533b222bebdc02a90bc319c055d3aeea68584a053d2e92872",
        "ru": "7f4dff853538b9a5fcc28c070b8bb983a5c5d190ac747b8e005a1ada9cab18f1",
        "th": "c3a041864c3a9fb0b4dd91cfdf99cf36b411b3e704c58a303c97bc6dc786cfe4",
        "tr": "f3e8c13002bbce154a4578f535f7533cb70f3da08840e6b62735935baec7bd94",
        "vi": "e35926bf5cc6fc6ecbdfca49467aabeb454f08d152d7818143a906bd31dde995",
        "zh": "80c2cde7b9c2fb134c303cbb52f2ba396ead9eb0014aec43993543d2ba9e93ed",
    },
    "mlqa-r": {
        "ar": "2132fbc03208535c0fe01f2e2c5121d06f9c2aa799af93b0a719dbc105bdf137",
        "de": "ce9454dc5aa6f2d85c23cd6e49cb367fbb7c4c6e62d7f71e355c6b5dae4d0886",
        "en": "fedd9a5cc0848dda80caf84aa36f482adaae230526a3f6e9e86926a93ef3b1e4",
        "es": "70ecba276b8c96a692b120693a595d076ce94ad21d4b28311538a9fcbfe0f9d7",
        "hi": "4dd0fb3c06f737a5481d705bc1dcac7876712a5815c9265908fbb3a0696cb654",
        "vi": "9d3baff6ba03e6793b25594217265ea59a136b9733833dca8a9582a84a78ff85",
        "zh": "57f01d2fff50cf3392805635b01445339f225ad5bf28ba8443b12f8dbd1e69dc",
    },
}


def load(
    name: str,
    languages: tuple[str, ...] | None = None,
    *,
    passage_text: PassageText = "sentence",
    extra: dict[str, Path] | None = None,
) -> Collection:
    """Return XQuAD-R or MLQA-R.

    Parameters
    ----------
    passage_text
        ``"sentence+context"`` appends to each sentence the paragraph that it stands in, as LAReQA's
        own models read it.
    extra
        Files of more languages in SQuAD's shape, whose questions have the ids of the dataset's, by
        language. Where they have no ``sentence_breaks``, `sentencex` splits their paragraphs.
    """
    languages = languages or tuple(_SHA256[name])
    more_files = _check_extra(extra or {}, languages)
    remotes = {lang: _locate(name, lang) for lang in languages}
    origins = [
        Origin(remote.url, remote.sha256, _REVISIONS[name], lang)
        for lang, remote in remotes.items()
    ]
    origins += [
        Origin(str(path.resolve()), sha256(path), "", lang) for lang, path in more_files.items()
    ]
    options = {"passage_text": passage_text, **describe_splitter(more_files.values(), "sentence")}
    recipe: dict[str, object] = {
        "dataset": name,
        "files": [origin.sha256 for origin in origins],
        "options": options,
    }
    if more_files:
        recipe["extra"] = [[lang, str(path.resolve())] for lang, path in more_files.items()]

    def build(writer: CollectionWriter) -> None:
        dataset = {"xquad-r": XQUAD_R, "mlqa-r": MLQA_R}[name]
        files = {lang: fetch(remote) for lang, remote in remotes.items()}
        announce(dataset)
        convert(files | more_files, writer, passage_text)
        writer.finish(
            licence=dataset.licence,
            citation=dataset.citation,
            provenance=origins,
            options=options,
            title_policy="text",
        )

    return load_or_build(name, recipe, build)


def _locate(name: str, lang: str) -> Remote:
    """Return the address of a language's file."""
    revision = _REVISIONS[name]
    url = f"{_ORIGIN}/{revision}/{name}/{lang}.json"
    return Remote(url, _SHA256[name][lang], revision, _MOST_BYTES)


def _check_extra(files: Mapping[str, Path], languages: Sequence[str]) -> dict[str, Path]:
    """Return files by code of language; raise an error for files or languages that cannot be."""
    by_code: dict[str, Path] = {}
    for tag, path in files.items():
        lang = normalise(tag)
        if lang in languages or lang in by_code:
            raise BadOption(f"extra has {tag}, a language that is there already")
        if not is_file(path):
            raise BadData(f"there is no file {path}")
        by_code[lang] = path
    return by_code


def convert(files: dict[str, Path], writer: CollectionWriter, passage_text: PassageText) -> None:
    """Write the questions, sentences and golds of files in several languages."""
    golds: dict[str, list[str]] = {}
    queries: list[tuple[str, str]] = []
    for lang, path in files.items():
        for number, paragraph in enumerate(read_paragraphs(path)):
            if paragraph.title is None:
                raise BadData(f"{paragraph.location} is not SQuAD-shaped JSON: there is no title")
            ids, breaks = [], list_spans(paragraph, "sentence", lang)
            for position, (start, end) in enumerate(breaks):
                text = paragraph.context[start:end]
                if not text.strip():
                    raise BadData(f"{paragraph.location}: there is no text from {start} to {end}")
                if passage_text == "sentence+context":
                    text = f"{text} {paragraph.context}"
                key = f"{number}-{position}"
                ids.append(writer.add_passage(lang, key, paragraph.title, text))
            for question in paragraph.questions:
                sentence = _find_sentence(question, breaks, paragraph.location)
                golds.setdefault(question.key, []).append(ids[sentence])
                query = writer.add_query(lang, question.key, question.text, question.key)
                queries.append((query, question.key))
    for query, key in queries:
        for passage in golds[key]:
            writer.add_judgement(query, passage)


def _find_sentence(question: Question, breaks: list[tuple[int, int]], location: str) -> int:
    """Return the number of the sentence that a question's answer starts in."""
    if len(question.answers) != 1:
        raise BadData(
            f"{location}: question {question.key!r} has {len(question.answers)} answers, not one"
        )
    answer = question.answers[0]
    for sentence, (start, end) in enumerate(breaks):
        if start <= answer < end:
            return sentence
    raise BadData(
        f"{location}: the answer to {question.key!r}, at {answer}, is outside every sentence"
    )


_LAREQA = (
    "Roy, Constant, Al-Rfou, Barua, Phillips, Yang. LAReQA: Language-Agnostic Answer Retrieval "
    "from a Multilingual Pool. EMNLP 2020."
)
XQUAD_R = Dataset(
    name="xquad-r",
    summary="1,190 questions in 11 languages, each answered by a sentence in all of them",
    load=partial(load, "xquad-r"),
    languages=tuple(_SHA256["xquad-r"]),
    licence="CC BY-SA 4.0",
    citation=f"{_LAREQA} Built on XQuAD: Artetxe, Ruder, Yogatama. ACL 2020.",
    homepage="https://github.com/google-research-datasets/lareqa",
)
MLQA_R = Dataset(
    name="mlqa-r",
    summary="1,148 questions in up to 4 of 7 languages, answered by sentences of Wikipedia",
    load=partial(load, "mlqa-r"),
    languages=tuple(_SHA256["mlqa-r"]),
    licence="CC BY-NC 4.0 (its own licence file); MLQA itself is CC BY-SA 3.0",
    citation=f"{_LAREQA} Built on MLQA: Lewis, Oguz, Rinott, Riedel, Schwenk. ACL 2020.",
    homepage="https://github.com/google-research-datasets/lareqa",
)
