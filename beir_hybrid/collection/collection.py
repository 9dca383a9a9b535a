"""Collections: queries, passages and judgements in several languages."""

from collections.abc import Iterable

from beir_hybrid.collection.arrays import to_numpy
from beir_hybrid.collection.judgements import Judgements
from beir_hybrid.collection.setting import (
    ALL,
    IMAGE,
    MIXED,
    KindName,
    Setting,
    parse_kinds,
)
from beir_hybrid.collection.tables import CollectionTables
from beir_hybrid.collection.view import View
from beir_hybrid.text import plural


class Collection(CollectionTables):
    """Queries, passages and judgements in several languages, each text stored once.

    Rows are Arrow tables, memory-mapped when they come from disk. They lie language by language
    in the order of `codes`, so that the passages of a language are a slice.

    Queries and passages may be images. Images have no language: their code is `IMAGE`, and they lie
    behind all languages. Where captions and images are queries and passages alike, a judgement of
    relevance `SELF_MATCH` marks the passage that is the query itself; rankings of the query leave
    it out.

    Attributes
    ----------
    queries
        Columns ``id``, ``lang``, ``text`` and ``group``: queries of one group translate each other,
        or are an image and its captions; and ``image`` as in `passages`.
    passages
        Columns ``id``, ``lang``, ``title``, ``text``, and ``image`` where there are images: the
        path of an image, whose text is the checksum of its file.
    judgements
        Columns ``query`` and ``passage`` (row numbers in the two tables) and ``relevance``.
    title_policy
        Whether a passage's text for retrieval includes its title.
    original_ids
        Whether the origin had ids of its own: then an id is ``lang:`` (``lang:q:`` for queries)
        followed by the origin's, and exports restore the latter.
    caveat
        Why figures on this collection cannot be compared with published ones; empty if they can.
    dataset
        The name, languages and options that load the collection again with `load`; empty if it was
        not loaded by name.

    Examples
    --------
    >>> import beir_hybrid as bh
    >>> corpus = {"de:1": {"text": "Berlin, Deutschland"}, "en:1": {"text": "Berlin, Germany"}}
    >>> queries = {"de:q:1": "Wo ist Berlin?", "en:q:1": "Where is Berlin?"}
    >>> qrels = {query: {"de:1": 1, "en:1": 1} for query in queries}
    >>> collection = bh.from_beir(corpus, queries, qrels)
    >>> collection
    Collection('beir', 2 languages, 2 queries, 2 passages)
    >>> [setting.name for setting in collection.list_settings()]
    ['de-de', 'en-en', 'de-en', 'en-de', 'de-all', 'en-all']
    """

    def __repr__(self) -> str:
        """Return the name and the numbers of languages, images, queries and passages."""
        counts = {"languages": len(self.languages)}
        if self.has_images:
            counts["images"] = len(self.find_passage_rows(IMAGE))
        counts |= {"queries": len(self.queries), "passages": len(self.passages)}
        phrases = [plural(count, things) for things, count in counts.items()]
        return f"Collection({self.name!r}, {', '.join(phrases)})"

    def view(
        self,
        query_languages: str | Iterable[str] | None = None,
        passage_languages: str | Iterable[str] | None = None,
    ) -> View:
        """Return one evaluation setting: some languages' queries against some languages' passages.

        ``view("en", "en")`` is monolingual, ``view("en", "de")`` cross-lingual and ``view("en")``
        the multilingual pool. Either side may be several languages; ``None`` means all.
        ``"image"`` stands for images beside languages: ``view("en", "image")`` ranks images for
        English captions, ``view("image")`` captions of all languages for images, and
        ``view("en", collection.codes)`` captions and images together.
        """
        return View(self, self.parse_codes(query_languages), self.parse_codes(passage_languages))

    def view_setting(self, setting: Setting) -> View:
        """Return the queries, passages and judgements of a setting."""
        sides = {ALL: self.languages, MIXED: self.codes}
        queries, passages = (
            sides.get(side, tuple(side.split("+"))) for side in (setting.queries, setting.passages)
        )
        return self.view(queries, passages)

    def list_settings(self, kind: KindName | None = None) -> list[Setting]:
        """Return the settings in which at least one query has a relevant passage.

        Monolingual settings come first, then cross-lingual ones, then pools of all languages; a
        collection in one language has no pool. Behind these come, where there are images, images
        for captions, captions for images in each language and in all, and captions and images
        together for captions.

        Parameters
        ----------
        kind
            The only kind of settings to return; ``one-target`` settings come only by name.
        """
        judgements = self.resolve()
        if kind is None:
            return judgements.list_settings()
        (name,) = parse_kinds([kind])
        required = "multi" if name == "one-target" else name
        return judgements.list_settings([name]) if required in judgements.list_kinds() else []

    def resolve(self) -> Judgements:
        """Return the judgements by row number, with everything that rankings need."""
        columns = [to_numpy(self.judgements[name]) for name in ("query", "passage", "relevance")]
        return Judgements.from_columns(
            columns,
            name=self.name,
            languages=self.languages,
            query_ranges=self.query_ranges,
            passage_ranges=self.passage_ranges,
            query_ids=self.queries["id"],
            passage_ids=self.passages["id"],
            query_groups=self.queries["group"],
        )
