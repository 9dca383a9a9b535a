"""Collections: rows by language, settings and views."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beir_hybrid.collection import Collection, CollectionWriter, open_collection
from beir_hybrid.collection.arrays import join_titles
from beir_hybrid.errors import BadOption, UnknownName
from tests.small_collections import collect, write_small


@pytest.fixture
def tiny(tmp_path: Path) -> Collection:
    return collect(tmp_path / "tiny", write_small)


def test_rows_lie_language_by_language(tiny: Collection) -> None:
    assert repr(tiny) == "Collection('tiny', 3 languages, 3 queries, 4 passages)"
    assert tiny.languages == ("de", "en", "es")
    assert tiny.passages.to_pylist() == [
        {"id": "de:p1", "lang": "de", "title": "Rom", "text": "Alle Wege führen dorthin."},
        {"id": "en:p1", "lang": "en", "title": "Rome", "text": "All roads lead there."},
        {"id": "en:p2", "lang": "en", "title": "", "text": "A river runs."},
        {"id": "es:p1", "lang": "es", "title": "Roma", "text": "Todos los caminos llevan."},
    ]
    assert tiny.queries.to_pylist() == [
        {"id": "de:q:a", "lang": "de", "text": "Wohin führen Wege?", "group": "a"},
        {"id": "en:q:a", "lang": "en", "text": "Where do roads lead?", "group": "a"},
        {"id": "en:q:b", "lang": "en", "text": "What runs?", "group": "b"},
    ]
    assert [tiny.find_passage_rows(lang) for lang in ("de", "eng", "es-MX")] == [
        range(1),
        range(1, 3),
        range(3, 4),
    ]
    assert [tiny.find_query_rows(lang) for lang in ("deu", "en-Latn", "es")] == [
        range(1),
        range(1, 3),
        range(3, 3),
    ]
    assert tiny.judgements.to_pylist() == [
        {"query": query, "passage": passage, "relevance": relevance}
        for query, passage, relevance in [
            *[(0, 0, 1), (0, 1, 1), (0, 3, 1)],
            *[(1, 0, 1), (1, 1, 1), (1, 3, 1)],
            *[(2, 0, 0), (2, 1, 0), (2, 2, 2)],
        ]
    ]


def test_a_monolingual_view_as_beirs_dicts(tiny: Collection) -> None:
    view = tiny.view("en", "en")
    assert (view.name, view.kind) == ("en-en", "mono")
    corpus, queries, qrels = view.to_beir()
    assert corpus == {
        "en:p1": {"title": "Rome", "text": "All roads lead there."},
        "en:p2": {"title": "", "text": "A river runs."},
    }
    assert queries == {"en:q:a": "Where do roads lead?", "en:q:b": "What runs?"}
    assert qrels == {"en:q:a": {"en:p1": 1}, "en:q:b": {"en:p1": 0, "en:p2": 2}}


def test_a_query_without_a_gold_in_the_view_is_left_out(tiny: Collection) -> None:
    view = tiny.view("en", "de")
    assert (view.name, view.kind) == ("en-de", "cross")
    assert view.to_beir() == (
        {"de:p1": {"title": "Rom", "text": "Alle Wege führen dorthin."}},
        {"en:q:a": "Where do roads lead?"},
        {"en:q:a": {"de:p1": 1}},
    )


def test_the_pool_has_every_language(tiny: Collection) -> None:
    view = tiny.view("en")
    assert (view.name, view.kind) == ("en-all", "multi")
    assert view.passages["id"].to_pylist() == ["de:p1", "en:p1", "en:p2", "es:p1"]
    assert view.qrels.to_pylist() == [
        {"query_id": "en:q:a", "passage_id": "de:p1", "relevance": 1},
        {"query_id": "en:q:a", "passage_id": "en:p1", "relevance": 1},
        {"query_id": "en:q:a", "passage_id": "es:p1", "relevance": 1},
        {"query_id": "en:q:b", "passage_id": "de:p1", "relevance": 0},
        {"query_id": "en:q:b", "passage_id": "en:p1", "relevance": 0},
        {"query_id": "en:q:b", "passage_id": "en:p2", "relevance": 2},
    ]


def test_subsets_of_languages_on_either_side(tiny: Collection) -> None:
    view = tiny.view(["en", "deu"], ("spa", "de-AT"))
    assert (view.query_languages, view.passage_languages) == (("en", "de"), ("es", "de"))
    assert (view.name, view.kind) == ("en+de-es+de", "multi")
    corpus, queries, qrels = view.to_beir()
    assert list(corpus) == ["es:p1", "de:p1"]
    assert queries == {"de:q:a": "Wohin führen Wege?", "en:q:a": "Where do roads lead?"}
    assert qrels == {
        "de:q:a": {"de:p1": 1, "es:p1": 1},
        "en:q:a": {"de:p1": 1, "es:p1": 1},
    }
    assert (tiny.view().name, tiny.view().kind) == ("all-all", "multi")


def test_several_query_languages_are_neither_mono_nor_cross(tiny: Collection) -> None:
    # English to English is among both of the last two, German to English among all but the first.
    for passages in ("es", "en", ["en", "de"]):
        assert tiny.view(["en", "de"], passages).kind == "multi"
    assert tiny.view(["en", "eng"], "en-GB").kind == "mono"


def test_collections_and_views_are_compared_by_identity(tmp_path: Path, tiny: Collection) -> None:
    same = collect(tmp_path / "same", write_small)
    assert tiny.queries.equals(same.queries)
    assert len({tiny, same, tiny}) == 2
    assert tiny != same
    view = tiny.view("en")
    assert view != tiny.view("en")
    assert {view: 1}[view] == 1


def test_settings_are_those_with_a_judged_query(tiny: Collection) -> None:
    # No query is Spanish, so nothing starts with es.
    assert [view.name for view in tiny.list_settings()] == [
        *["de-de", "en-en"],
        *["de-en", "de-es", "en-de", "en-es"],
        *["de-all", "en-all"],
    ]
    assert [view.name for view in tiny.list_settings("mono")] == ["de-de", "en-en"]
    assert [view.name for view in tiny.list_settings("cross")] == [
        "de-en",
        "de-es",
        "en-de",
        "en-es",
    ]
    assert [view.name for view in tiny.list_settings("multi")] == ["de-all", "en-all"]


def test_one_language_has_no_pool(tmp_path: Path) -> None:
    def fill(writer: CollectionWriter) -> None:
        writer.add_judgement(
            writer.add_query("en", "1", "Who?", "1"), writer.add_passage("en", "1", "", "She.")
        )

    collection = collect(tmp_path / "one", fill)
    assert [(view.name, view.kind) for view in collection.list_settings()] == [("en-en", "mono")]


def test_the_title_policy_hides_titles_from_models(tiny: Collection, tmp_path: Path) -> None:
    assert join_titles(tiny.view("en").passages).to_pylist() == [
        "Rom Alle Wege führen dorthin.",
        "Rome All roads lead there.",
        "A river runs.",
        "Roma Todos los caminos llevan.",
    ]
    untitled = collect(tmp_path / "text", write_small, "text")
    assert untitled.title_policy == "text"
    corpus, _, _ = untitled.view("en", "en").to_beir()
    assert corpus == {
        "en:p1": {"title": "", "text": "All roads lead there."},
        "en:p2": {"title": "", "text": "A river runs."},
    }
    assert join_titles(untitled.view("de", "de").passages).to_pylist() == [
        "Alle Wege führen dorthin."
    ]
    assert untitled.passages["title"].to_pylist() == ["Rom", "Rome", "", "Roma"]


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ("fr", "no language of tiny is 'fr'; there are de (German), en (English), es (Spanish)"),
        ("sp", "no language of tiny is 'sp'; there are es (Spanish), de (German), en (English)"),
        (
            ["en", "xx"],
            "no language of tiny is 'xx'; there are de (German), en (English), es (Spanish)",
        ),
    ],
)
def test_unknown_language_of_a_view_is_named(
    tiny: Collection, languages: str | list[str], message: str
) -> None:
    for sides in ((languages, "en"), ("en", languages)):
        with pytest.raises(UnknownName) as error:
            tiny.view(*sides)
        assert str(error.value) == message


def test_a_view_of_no_language_is_refused(tiny: Collection) -> None:
    with pytest.raises(BadOption, match=r"^no language of tiny is named; there are de \(Ger"):
        tiny.view([])


@pytest.mark.parametrize("tag", [5, [None], [["en"]], b"en"])
def test_a_language_must_be_text(tiny: Collection, tag: Any) -> None:
    with pytest.raises(BadOption, match=r"^a language is a code such as 'en', "):
        tiny.view(tag)
    for find_rows_of in (tiny.find_query_rows, tiny.find_passage_rows):
        with pytest.raises(BadOption, match=r"^a language is a code such as 'en', "):
            find_rows_of(tag)


def test_rows_of_an_unknown_language_are_refused(tiny: Collection) -> None:
    for find_rows_of in (tiny.find_query_rows, tiny.find_passage_rows):
        with pytest.raises(UnknownName, match=r"^no language of tiny is 'fr'; there are "):
            find_rows_of("fr")


def test_an_unknown_kind_of_setting_is_refused(tiny: Collection) -> None:
    kind: Any = "multilingual"
    message = r"^no kind of setting 'multilingual'; did you mean 'multi'\?$"
    with pytest.raises(UnknownName, match=message):
        tiny.list_settings(kind)


def test_images_lie_behind_every_language(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "images", has_images=True)
    for lang in ("zza", "image", "en", "jv"):
        path = f"{lang}.png" if lang == "image" else None
        passage = writer.add_passage(lang, "1", "", f"{lang} text", path)
        writer.add_judgement(writer.add_query(lang, "1", f"{lang} text", "1", path), passage)
    writer.finish(original_ids=True)
    images = open_collection(tmp_path)
    assert images.codes == ("en", "jv", "zza", "image")
    for table in (images.queries, images.passages):
        assert table["lang"].to_pylist() == ["en", "jv", "zza", "image"]
        assert table["image"].to_pylist() == [None, None, None, "image.png"]
    assert [images.find_passage_rows(code).start for code in images.codes] == [0, 1, 2, 3]
    # The origin's own ids would be the same for a caption and an image.
    assert images.view("en", "image").prefixes == ("en:q:", "image:")
    assert images.view("en", images.codes).prefixes == ("", "")
    assert images.view("image").prefixes == ("", "")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


# Neither white space nor control characters.
KEY = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=4).filter(
    lambda key: not key.startswith("q:")
)


LANG = st.sampled_from(["ar", "en", "th", "zh"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_view_equals_brute_force(data: st.DataObject) -> None:
    passages: dict[tuple[str, str], tuple[str, str]] = data.draw(
        st.dictionaries(st.tuples(LANG, KEY), st.tuples(st.one_of(st.just(""), TEXT), TEXT))
        .filter(bool)
        .map(dict)
    )
    queries: dict[tuple[str, str], str] = data.draw(
        st.dictionaries(st.tuples(LANG, KEY), TEXT, min_size=1)
    )
    pair = st.tuples(st.sampled_from(sorted(queries)), st.sampled_from(sorted(passages)))
    judgements = data.draw(st.dictionaries(pair, st.integers(-1, 3)))
    for query in queries:
        judgements[query, data.draw(st.sampled_from(sorted(passages)))] = 1
    with TemporaryDirectory() as folder:
        writer = CollectionWriter(Path(folder), "random")
        ids = {row: writer.add_query(*row, text, row[1]) for row, text in queries.items()}
        passage_ids = {row: writer.add_passage(*row, *texts) for row, texts in passages.items()}
        for (query, passage), relevance in judgements.items():
            writer.add_judgement(ids[query], passage_ids[passage], relevance)
        writer.finish()
        collection = open_collection(Path(folder))
        langs = sorted({lang for lang, _ in [*queries, *passages]})
        assert collection.languages == tuple(langs)
        assert set(collection.queries["group"].to_pylist()) == {key for _, key in queries}
        for query_side in [*([lang] for lang in langs), langs[:2], langs]:
            for passage_side in [*([lang] for lang in langs), langs[::-1][:2], langs]:
                view_judgements = {
                    (query, passage): relevance
                    for (query, passage), relevance in judgements.items()
                    if query[0] in query_side and passage[0] in passage_side
                }
                with_golds = {
                    query for (query, _), relevance in view_judgements.items() if relevance > 0
                }
                corpus, texts, qrels = collection.view(query_side, passage_side).to_beir()
                assert corpus == {
                    f"{lang}:{key}": {"title": title, "text": text}
                    for (lang, key), (title, text) in passages.items()
                    if lang in passage_side
                }
                assert texts == {f"{q[0]}:q:{q[1]}": queries[q] for q in with_golds}
                assert qrels == {
                    f"{q[0]}:q:{q[1]}": {
                        f"{p[0]}:{p[1]}": relevance
                        for (query, p), relevance in view_judgements.items()
                        if query == q
                    }
                    for q in with_golds
                }
