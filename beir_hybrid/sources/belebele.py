"""Belebele: 900 questions on 488 passages in 122 variants of languages (Bandarkar et al. 2023).

Files are those of the hub, a line a question with its passage. Passages are told apart by their
link, as mteb's task has it; questions by link and number, which are the same in all languages.
"""

from functools import cache
from hashlib import sha256 as hash_sha256
from pathlib import Path

from beir_hybrid.collection import Collection, CollectionWriter, Origin
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.lines import read_json_lines, require_text
from beir_hybrid.errors import BadData
from beir_hybrid.files import sha256
from beir_hybrid.hub import fetch_hub_file
from beir_hybrid.languages import normalise_variant
from beir_hybrid.sources.bad_rows import BadRows, OnBad
from beir_hybrid.sources.spec import Dataset, announce

REPOSITORY = "facebook/belebele"
COMMIT = "75b399394a9803252cfec289d103de462763db7c"
_KEY_LENGTH = 12  # of a link's checksum, in passages' ids
# As the files are named; scripts matter, for Arabic, Bengali and others have two.
_FILES = """
    acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab
    asm_Beng azj_Latn bam_Latn ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn
    ckb_Arab dan_Latn deu_Latn ell_Grek eng_Latn est_Latn eus_Latn fin_Latn fra_Latn fuv_Latn
    gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn hun_Latn
    hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kac_Latn kan_Knda
    kat_Geor kaz_Cyrl kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn
    lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr
    nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru pbt_Arab pes_Arab
    plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn slv_Latn
    sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn
    tam_Taml tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl
    urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn yor_Latn zho_Hans zho_Hant
    zsm_Latn zul_Latn
"""


@cache
def list_files() -> dict[str, str]:
    """Return the name of each file by the code of its language."""
    return {normalise_variant(name): name for name in _FILES.split()}


def load(languages: tuple[str, ...] | None = None, *, on_bad: OnBad = "refuse") -> Collection:
    """Return Belebele in some languages, whose codes have scripts where these matter."""
    codes = languages or tuple(list_files())
    options = {"on_bad": on_bad}
    recipe = {"dataset": "belebele", "commit": COMMIT, "languages": codes, "options": options}

    def build(writer: CollectionWriter) -> None:
        writer.keeps_variants = True
        bad_rows, origins = BadRows(on_bad), []
        for code in codes:
            file = f"data/{list_files()[code]}.jsonl"
            path = fetch_hub_file(REPOSITORY, file, COMMIT)
            address = f"hf://datasets/{REPOSITORY}/{file}"
            origins.append(Origin(address, sha256(path), COMMIT, code))
            _add_file(path, code, writer, bad_rows)
        announce(BELEBELE)
        writer.expand_judgements()
        writer.finish(
            licence=BELEBELE.licence,
            citation=BELEBELE.citation,
            provenance=origins,
            options=options | bad_rows.record(writer),
            title_policy="text",
        )

    return load_or_build("belebele", recipe, build)


def _add_file(path: Path, lang: str, writer: CollectionWriter, bad_rows: BadRows) -> None:
    """Write the questions of a file, and each passage once."""
    passages: dict[str, str] = {}
    questions: set[str] = set()
    for number, row in read_json_lines(path):
        location = f"{path} line {number}"
        link, passage, question = (
            require_text(row, name, location) for name in ("link", "flores_passage", "question")
        )
        key = hash_sha256(link.encode()).hexdigest()[:_KEY_LENGTH]
        question_key = f"{key}-{row.get('question_number')}"
        if not passage.strip() or not question.strip():
            bad_rows.note("questions without text or passage", location)
            continue
        if question_key in questions:
            bad_rows.note("questions that are there twice", location)
            continue
        if passages.setdefault(key, passage) != passage:
            raise BadData(f"{location}: the passage of {link!r:.80} is another than above")
        questions.add(question_key)
        query = writer.add_query(lang, question_key, question, question_key)
        writer.add_judgement(query, key)
    for key, passage in passages.items():
        writer.add_passage(lang, key, "", passage)


BELEBELE = Dataset(
    name="belebele",
    summary="900 questions on 488 passages of FLORES, parallel in 122 variants of languages",
    load=load,
    languages=tuple(list_files()),
    licence="CC BY-SA 4.0",
    citation=(
        "Bandarkar, Liang, Muller, Artetxe, Shukla, Husa, Goyal, Krishnan, Zettlemoyer, Khabsa. "
        "The Belebele Benchmark: a Parallel Reading Comprehension Dataset in 122 Language "
        "Variants. ACL 2024."
    ),
    homepage="https://github.com/facebookresearch/belebele",
)
