"""SQuADShifts: English questions on four kinds of texts (Miller et al. 2020).

The paper's development set: ``--dev-pairs squadshifts``.
"""

from typing import Literal

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.download import Remote, fetch
from beir_hybrid.sources.bad_rows import BadRows
from beir_hybrid.sources.spec import Dataset, announce
from beir_hybrid.sources.squad import convert_squad

Part = Literal["all", "new-wiki", "nyt", "reddit", "amazon"]

_REVISION = "b7cc4d50af791c36c49417fb94dd739d6a9e7bef"
ORIGIN = f"https://raw.githubusercontent.com/modestyachts/squadshifts-website/{_REVISION}/datasets"
_MOST_BYTES = 1 << 23  # of a file; the largest has 4.6 MB
FILES = {  # with their SHA-256
    "new-wiki": (
        "new_wiki_v1.0.json", "1d50a0ca4cdab88d038b52ea8a2d0510af6038d7f41a0a256b9659237769d0ee",
    ),
    "nyt": ("nyt_v1.0.json", "fd55ae252cc735a695fab4473d4cd605b154183ac3b3eb63068f53cfc86f36d6"),
    "reddit": (
        "reddit_v1.0.json", "b4ac346dbf1816fdec80fdcf91d06a4b754fa51e47960fa8614a94f37ea42a4b",
    ),
    "amazon": (
        "amazon_reviews_v1.0.json",
        "9db7bdee84a91f0fb80b9e74f365042fbbb217cb8e0a7e73bb071245472589b6",
    ),
}  # fmt: skip


def load(languages: tuple[str, ...] | None = None, *, part: Part = "all") -> Collection:
    """Return SQuADShifts, or one of its parts; passages are paragraphs."""
    languages = languages or SQUADSHIFTS.languages
    remotes = {
        name: Remote(f"{ORIGIN}/{file}", checksum, _REVISION, _MOST_BYTES)
        for name, (file, checksum) in FILES.items()
        if part in ("all", name)
    }
    origins = [Origin(remote.url, remote.sha256, _REVISION, "en") for remote in remotes.values()]
    options = {"part": part}

    def build(writer: CollectionWriter) -> None:
        files = {name: fetch(remote) for name, remote in remotes.items()}
        announce(SQUADSHIFTS)
        for name, path in files.items():
            convert_squad({"en": path}, writer, "paragraph", BadRows("refuse"), f"{name}-")
        writer.finish(
            licence=SQUADSHIFTS.licence,
            citation=SQUADSHIFTS.citation,
            provenance=origins,
            options=options,
            title_policy="text",
        )

    checksums = [origin.sha256 for origin in origins]
    recipe = {"dataset": "squadshifts", "files": checksums, "options": options}
    return load_or_build("squadshifts", recipe, build)


SQUADSHIFTS = Dataset(
    name="squadshifts",
    summary="37,691 English questions on Wikipedia, news, a forum and reviews, with paragraphs",
    load=load,
    languages=("en",),
    licence="CC BY 4.0",
    citation=(
        "Miller, Krauth, Recht, Schmidt. The Effect of Natural Distribution Shift on Question "
        "Answering Models. ICML 2020."
    ),
    homepage="https://modestyachts.github.io/squadshifts-website",
)
