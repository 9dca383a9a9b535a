"""Titles and language names for pages, from names that anybody may have chosen."""

from collections.abc import Sequence

from beir_hybrid.collection.setting import ALL, IMAGE
from beir_hybrid.languages import name_language
from beir_hybrid.report.entries import Benchmark

_LANGUAGES_IN_TITLE = 4  # at most; more are counted
_CODE_NAMES = {ALL: "all languages", IMAGE: "images"}


def describe_language(code: str) -> str:
    """Return the English name of a language code; an unknown code stays unchanged."""
    if code in _CODE_NAMES:
        return _CODE_NAMES[code]
    try:
        return name_language(code)
    except ValueError:
        return code


def make_titles(benchmarks: Sequence[Benchmark]) -> list[str]:
    """Return a title for each benchmark, all different.

    A title is the collection's name; its languages follow where several have one name.
    """
    text_names = {benchmark.name for benchmark in benchmarks if not benchmark.has_images}
    names = [
        f"{benchmark.name}, images"
        if benchmark.has_images and benchmark.name in text_names
        else benchmark.name
        for benchmark in benchmarks
    ]
    titles: set[str] = set()
    return [
        add_number(
            f"{name}, {_list_languages(benchmark)}" if names.count(name) > 1 else name,
            titles,
            "{} [{}]",
        )
        for benchmark, name in zip(benchmarks, names, strict=True)
    ]


def _list_languages(benchmark: Benchmark) -> str:
    languages = benchmark.languages
    if len(languages) <= _LANGUAGES_IN_TITLE:
        return ", ".join(languages)
    return f"{len(languages)} languages"


def add_number(name: str, names: set[str], template: str) -> str:
    """Add a name to `names`, numbered from 2 on if `names` has the same, and return the new name.

    >>> names = {"a"}
    >>> add_number("a", names, "{} [{}]"), add_number("a", names, "{} [{}]")
    ('a [2]', 'a [3]')
    """
    unique, number = name, 1
    while unique in names:
        number += 1
        unique = template.format(name, number)
    names.add(unique)
    return unique
