"""Names, which are anybody's, in; titles and names of files that differ out."""

from beir_hybrid.collection.setting import ALL, IMAGE
from beir_hybrid.languages import name_language
from beir_hybrid.report.entries import Group

_FEW = 4  # languages that a title names
_OTHERS = {ALL: "all languages", IMAGE: "pictures"}


def language(code: str) -> str:
    """Return the English name of a language, or what stands for one."""
    if code in _OTHERS:
        return _OTHERS[code]
    try:
        return name_language(code)
    except ValueError:  # no code of a language
        return code


def titles_of(groups: list[Group]) -> list[str]:
    """Return names of collections; with their languages where several have one name."""
    texts = {group.name for group in groups if not group.pictures}
    names = [f"{group.name}, pictures" if group.pictures and group.name in texts else group.name
             for group in groups]  # fmt: skip
    titles: list[str] = []
    for group, name in zip(groups, names, strict=True):
        langs = group.languages
        told = ", ".join(langs) if len(langs) <= _FEW else f"{len(langs)} languages"
        title = f"{name}, {told}" if names.count(name) > 1 else name
        number, wanted = 1, title
        while title in titles:
            number += 1
            title = f"{wanted} [{number}]"
        titles.append(title)
    return titles
