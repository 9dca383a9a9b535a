"""XQuAD: questions whose gold is a paragraph, in 12 languages (Artetxe et al. 2020).

All questions and paragraphs are there in every language. `lareqa.py` has the sentences of eleven.
"""

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.download import Remote, fetch
from beir_hybrid.sources.bad_rows import BadRows
from beir_hybrid.sources.spec import Dataset, announce
from beir_hybrid.sources.squad import convert_squad

_REVISION = "60cac411649156efb6aab9dd4c9cde787a2c0345"
_ORIGIN = f"https://raw.githubusercontent.com/deepmind/xquad/{_REVISION}"
_MOST_BYTES = 1 << 22  # of a file; the largest has 2.7 MB
_SHA256 = {
    "ar": "abdabd7afed5c635d99cca0f3f0d0c9d9ed0bc77451e963c2e4e0638c29e486d",
    "de": "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9",
    "el": "821cf0f88e73fa258fd2f548b19b6ec39f7025059e16f6f9fc8cd797c9c3663e",
    "en": "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
    "es": "dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e",
    "hi": "df2cce3532b37e9beb8979704b5c9a4bf874358f105395a298b89427b43b9d24",
    "ro": "94f8d54e93ad2b7dd2e76dd921a666b5b8eff2d4379df9f179c42b445f09643f",
    "ru": "208d5b1aa154c52b1b5c5eda16281e455e8fd198cdb9af3f469f0d6037d973bf",
    "th": "5cdda11d0e1e075f7872abf4e6ae830388ce7f617964d542308e9ae4257e0f43",
    "tr": "92179a564774b7696100d144c1e10870d0a966b6fccbdd254a65b9d2ab1971cc",
    "vi": "f619a1eb11fb42d3ab0834259e488a65f585447ef6154437bfb7199d85161a04",
    "zh": "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835",
}


def load(languages: tuple[str, ...] | None = None) -> Collection:
    """Return XQuAD in some languages."""
    languages = languages or tuple(_SHA256)
    remotes = {
        lang: Remote(f"{_ORIGIN}/xquad.{lang}.json", _SHA256[lang], _REVISION, _MOST_BYTES)
        for lang in languages
    }
    origins = [
        Origin(remote.url, remote.sha256, _REVISION, lang) for lang, remote in remotes.items()
    ]

    def build(writer: CollectionWriter) -> None:
        files = {lang: fetch(remote) for lang, remote in remotes.items()}
        announce(XQUAD)
        convert_squad(files, writer, "paragraph", BadRows("refuse"))
        writer.finish(
            licence=XQUAD.licence,
            citation=XQUAD.citation,
            provenance=origins,
            title_policy="text",
        )

    recipe = {"dataset": "xquad", "files": {lang: _SHA256[lang] for lang in languages}}
    return load_or_build("xquad", recipe, build)


XQUAD = Dataset(
    name="xquad",
    summary="1,190 questions in 12 languages, each answered by a paragraph in all of them",
    load=load,
    languages=tuple(_SHA256),
    licence="CC BY-SA 4.0",
    citation=(
        "Artetxe, Ruder, Yogatama. On the Cross-lingual Transferability of Monolingual "
        "Representations. ACL 2020."
    ),
    homepage="https://github.com/google-deepmind/xquad",
)
