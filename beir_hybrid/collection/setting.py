"""Evaluation settings: which queries meet which passages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from beir_hybrid.errors import BadOption, lookup

KindName = Literal[
    "mono", "cross", "multi", "one-target", "text-image", "image-text", "image-pool", "mixed"
]
IMAGE = "image"  # the code of images, which have no language
ALL, MIXED = "all", "mixed"  # targets: the passages of all languages; these and images


@dataclass(frozen=True)
class SettingKind:
    """A kind of setting: its labels, and the languages of its two sides.

    Attributes
    ----------
    label, short_label
        For headings of tables, such as ``monolingual`` and ``Mo``.
    description
        For readers of a table: the passages, and the queries they are ranked for.
    image_queries, image_passages, text_passages
        Whether queries are images, and whether images and texts are among the passages.
    pool
        `ALL` or `MIXED` where passages of several languages form one ranking; else empty.
    same_language
        Whether query and passages are in the same language; None where languages do not matter.
    drops_other_golds
        Whether each query has the pool without its golds in languages other than the target.
    is_rerankable
        Whether a setting has a run, which can be written and reranked.
    """

    name: KindName
    label: str
    short_label: str
    description: str
    image_queries: bool = False
    image_passages: bool = False
    text_passages: bool = True
    pool: str = ""
    same_language: bool | None = None
    drops_other_golds: bool = False
    is_rerankable: bool = True

    @property
    def is_pool(self) -> bool:
        """Whether passages of several languages form one ranking."""
        return bool(self.pool)

    @property
    def has_images(self) -> bool:
        """Whether queries or passages are images."""
        return self.image_queries or self.image_passages


# In the order of tables: texts first, images last.
SETTING_KINDS: dict[KindName, SettingKind] = {
    kind.name: kind
    for kind in (
        SettingKind(
            "mono", "monolingual", "Mo", "queries and passages in one language", same_language=True
        ),
        SettingKind(
            "cross",
            "cross-lingual",
            "Cr",
            "queries in one language, passages in another",
            same_language=False,
        ),
        SettingKind(
            "multi", "multilingual", "Mul", "passages of all languages in one pool", pool=ALL
        ),
        # Ranks are counted without a run.
        SettingKind(
            "one-target",
            "one target",
            "1T",
            "the pool of all languages without relevant passages of other languages",
            drops_other_golds=True,
            is_rerankable=False,
        ),
        SettingKind(
            "text-image",
            "text to image",
            "T2I",
            "images for captions",
            image_passages=True,
            text_passages=False,
        ),
        SettingKind(
            "image-text",
            "image to text",
            "I2T",
            "captions in one language for images",
            image_queries=True,
        ),
        SettingKind(
            "image-pool",
            "image to captions",
            "Pool",
            "captions in all languages in one pool for images",
            image_queries=True,
            pool=ALL,
        ),
        SettingKind(
            "mixed",
            "mixed pool",
            "Mix",
            "captions and images together for captions",
            image_passages=True,
            pool=MIXED,
        ),
    )
}


class Setting(NamedTuple):
    """Which queries meet which passages.

    ``mono`` and ``cross`` rank the passages of one language, ``multi`` the pool of all languages.
    In ``one-target`` that pool lacks the relevant passages of languages other than `passages`, as
    in LAReQA.

    ``text-image`` ranks images for captions, ``image-text`` the captions of one language for
    images, ``image-pool`` the pool of all captions, and ``mixed`` captions and images together
    for captions. A query is never among the passages of its own ranking.

    Attributes
    ----------
    queries
        The language of the queries, or ``image``.
    passages
        The language of the passages, ``image``, ``all`` for the pool of all languages, or
        ``mixed`` for all captions and images.

    Examples
    --------
    >>> setting = Setting("multi", "en", "all")
    >>> setting.name, setting.label, setting.is_pool
    ('en-all', 'multilingual', True)
    """

    kind: KindName
    queries: str
    passages: str

    @property
    def name(self) -> str:
        """A short name, such as ``en-de``."""
        return f"{self.queries}-{self.passages}"

    @property
    def label(self) -> str:
        """The label of its kind, such as ``monolingual``."""
        return SETTING_KINDS[self.kind].label

    @property
    def short_label(self) -> str:
        """The short label of its kind, such as ``Mo``."""
        return SETTING_KINDS[self.kind].short_label

    @property
    def is_pool(self) -> bool:
        """Whether passages of several languages form one ranking."""
        return SETTING_KINDS[self.kind].is_pool

    @property
    def is_rerankable(self) -> bool:
        """Whether the setting has a run, which can be written and reranked."""
        return SETTING_KINDS[self.kind].is_rerankable


def make_setting(
    queries: Sequence[str], passages: Sequence[str], languages: Sequence[str]
) -> Setting:
    """Make the setting of queries and passages in some languages.

    Several languages of a side are joined by ``+``, unless they are all of the collection's
    `languages`. Only one query language against one passage language is ``mono`` or ``cross``.
    """
    return Setting(
        _find_kind(tuple(queries), tuple(passages)),
        _name_side(queries, languages),
        _name_side(passages, languages),
    )


def _find_kind(queries: tuple[str, ...], passages: tuple[str, ...]) -> KindName:
    if IMAGE not in queries + passages:
        if len(queries) > 1 or len(passages) > 1:
            return "multi"
        return "mono" if queries == passages else "cross"
    if queries == passages or any(IMAGE in side and len(side) > 1 for side in (queries, passages)):
        return "mixed"
    if passages == (IMAGE,):
        return "text-image"
    return "image-text" if len(passages) == 1 else "image-pool"


def _name_side(side: Sequence[str], languages: Sequence[str]) -> str:
    if len(side) == 1:
        return side[0]
    names = {tuple(languages): ALL, (*languages, IMAGE): MIXED}
    return names.get(tuple(sorted(side, key=language_sort_key)), "+".join(side))


def language_sort_key(code: str) -> tuple[bool, str]:
    """Return the sort key of a language code; images come last."""
    return code == IMAGE, code


def list_targets(codes: Sequence[str]) -> list[str]:
    """Return the values that `Setting.passages` may have, in the order of their numbers.

    `codes` are the languages of a collection and, behind them, `IMAGE` where there are images.
    """
    return [*codes, ALL, *[MIXED] * (IMAGE in codes)]


def parse_kinds(names: Iterable[str]) -> list[KindName]:
    """Check names of kinds of settings, and return the kinds in the order of `SETTING_KINDS`."""
    table: dict[str, KindName] = {kind: kind for kind in get_args(KindName)}
    kinds = {lookup("kind of setting", name, table) for name in names}
    if not kinds:
        raise BadOption(f"no kind of setting is named; there are {', '.join(table)}")
    return [kind for kind in SETTING_KINDS if kind in kinds]
