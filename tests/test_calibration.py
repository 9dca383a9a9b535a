"""Calibrations take out what their formulas say, and evaluations rank what they leave."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import AP

import beir_hybrid as bh
from beir_hybrid.calibration import correction as correction_module
from beir_hybrid.calibration.methods import VECTOR_METHODS, parse_method
from beir_hybrid.errors import BadData, BadOption, NotWritable, UnknownName
from beir_hybrid.integrity import record_file
from tests.disks import full_disk
from tests.image_files import write_images_folder
from tests.sealed_files import rewrite
from tests.small_collections import write_parallel_words
from tests.test_cli_evaluate import RunCli, data_options, model_folder, run_cli

__all__ = ["data_options", "model_folder", "run_cli"]

LANGS = ("de", "en", "th")
DIM = 8
SPECS = [
    "centre", "mean-language", "shift", "shift:to=th", "lir", "lir:k=2", "subspace", "subspace:r=1",
    "mean-language:alpha=0.5", "centre:on=queries", "lir:alpha=0.25,on=passages",
]  # fmt: skip


class LanguageEncoder(bh.Encoder):
    """Vectors with a part for the language, which the first letters of a text name."""

    def __init__(self, seed: int = 0, *, normalize: bool = True) -> None:
        self.seed, self.unit = seed, normalize
        self.fingerprint = {"kind": "language", "seed": seed, "unit": normalize}
        self.name = "language"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            language, _, words = text.partition(" ")
            draw = np.random.default_rng([self.seed, *words.split()[0].encode()])
            content = draw.standard_normal(DIM)
            noise = np.random.default_rng([*text.encode()]).standard_normal(DIM)
            accent = np.random.default_rng([*language.encode()]).standard_normal(DIM)
            rows.append(content + 0.5 * noise + 2 * accent)
        vectors = np.array(rows)
        if self.unit:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)

    encode_queries = encode_passages = encode


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> bh.Collection:
    """Return 60 passages in three languages and queries in two of them."""
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    rows: list[dict[str, object]] = []
    for number in range(60):
        texts = {lang: f"{lang} w{number} passage" for lang in LANGS}
        rows.append({"passage": f"p{number}", "text": texts})
        queries = {lang: f"{lang} w{number} query" for lang in ("de", "en")}
        rows.append({"query": f"q{number}", "text": queries, "relevant": [f"p{number}"]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return bh.read_jsonl(path)


def correct_by_formula(spec: str, vectors: np.ndarray, langs: np.ndarray, role: str) -> np.ndarray:
    """Return what a method leaves of vectors: its definition, in float64."""
    method = parse_method(spec).vectors
    assert method is not None
    if role not in method.roles:
        return vectors
    vectors = vectors.astype(np.float64)
    means = {lang: vectors[langs == lang].mean(axis=0) for lang in dict.fromkeys(langs.tolist())}
    grand_mean = np.mean(list(means.values()), axis=0)
    corrected = vectors.copy()
    for lang, mean in means.items():
        rows = langs == lang
        if method.name == "centre":
            change = np.tile(mean, (rows.sum(), 1))
        elif method.name == "mean-language":
            change = np.tile(mean - grand_mean, (rows.sum(), 1))
        elif method.name == "shift":
            change = np.tile(mean - means[method.options["to"]], (rows.sum(), 1))
        else:
            source = vectors[rows]
            n = int(method.options.get("k", method.options.get("r", 0)))
            if method.name == "subspace":
                source = np.array(list(means.values())) - grand_mean
                n = min(n, len(means) - 1)
            directions = np.linalg.svd(source, full_matrices=False)[2][:n]
            change = vectors[rows] @ directions.T @ directions
        corrected[rows] -= method.alpha * change
    return corrected / np.linalg.norm(corrected, axis=1, keepdims=True)


def encode_roles(
    collection: bh.Collection, encoder: bh.Encoder
) -> dict[str, tuple[np.ndarray, ...]]:
    """Return vectors and languages by role."""
    return {
        role: (
            encoder.encode_passages(table["text"].to_pylist()),
            np.array([key.partition(":")[0] for key in table["id"].to_pylist()]),
        )
        for role, table in (("queries", collection.queries), ("passages", collection.passages))
    }


@pytest.mark.parametrize("spec", SPECS)
def test_corrected_vectors_are_those_of_the_formula(collection: bh.Collection, spec: str) -> None:
    from beir_hybrid.encoding import Embeddings

    encoder = LanguageEncoder()
    calibration = bh.calibrate(encoder, collection, spec)
    for role, (vectors, langs) in encode_roles(collection, encoder).items():
        ranges = {
            lang: range(np.flatnonzero(langs == lang)[0], np.flatnonzero(langs == lang)[-1] + 1)
            for lang in dict.fromkeys(langs.tolist())
        }
        corrected = calibration.correct(Embeddings.from_array(vectors), ranges, role)
        expected = correct_by_formula(spec, vectors, langs, role)
        np.testing.assert_allclose(corrected.take(slice(None)), expected, atol=3e-6)
        if role == "queries":
            german = calibration.correct_queries(
                vectors[ranges["de"].start : ranges["de"].stop], "de"
            )
            start = ranges["de"].start
            assert np.array_equal(german, corrected.take(slice(start, start + len(german))))


@pytest.mark.parametrize(
    "spec",
    [
        "mean-language",
        "local:k=3",
        "mean-language+local:k=3",
        "zscore:k=60",
        "centre+round-robin",
        "lir:k=1+quota",
    ],
)
def test_evaluation_ranks_what_is_left(collection: bh.Collection, spec: str) -> None:
    """Average precision of the pool by brute force: vectors, scores, a sort."""
    encoder = LanguageEncoder()
    results = bh.evaluate(encoder, collection, measures=[AP], calibration=spec)
    roles = encode_roles(collection, encoder)
    method = parse_method(spec)
    if method.vectors:
        roles = {
            role: (correct_by_formula(str(method.vectors), vectors, langs, role), langs)
            for role, (vectors, langs) in roles.items()
        }
    (queries, _), (passages, langs) = roles["queries"], roles["passages"]
    values = []
    for query, query_id in zip(queries, collection.queries["id"].to_pylist(), strict=True):
        scores = passages @ query
        order = rank_pool(method, scores, langs)
        number = query_id.rpartition("q")[2]
        ids = np.array(collection.passages["id"].to_pylist())[order]
        places = [n for n, key in enumerate(ids, start=1) if key.partition(":p")[2] == number]
        values.append(np.mean([(n + 1) / place for n, place in enumerate(places)]))
    rows = results.per_query().filter(np.array(results.per_query()["kind"].to_pylist()) == "multi")
    assert np.mean(values) == pytest.approx(np.mean(rows["AP"].to_pylist()), abs=1e-9)
    assert results.provenance.model.calibration is not None
    assert results.provenance.model.calibration["method"] == spec
    plain = bh.evaluate(encoder, collection, measures=[AP])
    if not method.vectors:  # the order within a language is the same
        for kind in ("mono", "cross"):
            assert results.summary()[kind][AP] == plain.summary()[kind][AP]


def rank_pool(method: object, scores: np.ndarray, langs: np.ndarray) -> np.ndarray:
    """Return the order of the pool by a method that merges."""
    merge = method.merge  # type: ignore[attr-defined]
    if merge is None:
        return np.argsort(-scores, kind="stable")
    keys = np.empty(len(scores))
    for lang in LANGS:
        rows = langs == lang
        part = scores[rows]
        best = np.sort(part)[::-1]
        if merge.name == "local":
            keys[rows] = part - best[:3].mean()
        elif merge.name == "zscore":
            keys[rows] = (part - best.mean()) / best.std()
        else:  # languages are of one size, so that quotas are turns
            keys[rows] = -(1 + np.argsort(np.argsort(-part)))
    return np.lexsort((-scores, -keys))


def test_a_saved_calibration_is_the_same(collection: bh.Collection, tmp_path: Path) -> None:
    encoder = LanguageEncoder()
    calibration = bh.calibrate(encoder, collection, "lir:k=2,alpha=0.7+local:k=5")
    calibration.save(tmp_path / "saved")
    loaded = bh.Calibration.load(tmp_path / "saved")
    assert str(loaded) == "lir:k=2,alpha=0.7+local:k=5"
    assert loaded.data.passages == dict.fromkeys(LANGS, 60)
    assert loaded.data.queries == {"de": 60, "en": 60}
    results = [
        bh.evaluate(encoder, collection, measures=[AP], calibration=form)
        for form in (calibration, loaded, str(tmp_path / "saved"))
    ]
    assert results[0].per_query().equals(results[1].per_query())
    assert results[0].per_query().equals(results[2].per_query())
    assert results[0].provenance == results[1].provenance == results[2].provenance
    calibration.save(tmp_path / "saved")  # as a rerun after a kill does
    with pytest.raises(BadOption, match="is there already"):
        bh.calibrate(encoder, collection, "lir").save(tmp_path / "saved")
    arrays = tmp_path / "saved" / "statistics.npz"
    data = bytearray(arrays.read_bytes())
    data[len(data) // 2] ^= 1
    arrays.write_bytes(bytes(data))
    with pytest.raises(BadData, match=r"statistics.npz is damaged"):
        bh.Calibration.load(tmp_path / "saved")


def test_an_occupied_folder_is_refused_before_all_work(
    tmp_path: Path, run_cli: RunCli, model_folder: Path, data_options: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = tmp_path / "cache" / "embeddings"
    monkeypatch.setenv("BEIR_HYBRID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("mine", "file"):
        outcome = run_cli("calibrate", model_folder, *data_options, "--output", tmp_path / name)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{name} is there already; name a new folder or remove it" in outcome.err
    assert not store.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it["languages"].update(queries=["de", "de", "th"]), "a language of queries tw"),
        (lambda it: it.update(files={}), "has no checksum of statistics.npz"),
        (lambda it: it.update(files={"statistics.npz": {}}), "files.statistics.npz.bytes is miss"),
        (
            lambda it: (it.update(unit_length=False), it["fingerprint"].update(normalize=True)),
            "is of a model whose vectors have unit length",
        ),
    ],
)
def test_impossible_records_are_refused(
    collection: bh.Collection, tmp_path: Path, change: Callable[[dict[str, Any]], object],
    message: str,
) -> None:  # fmt: skip
    bh.calibrate(LanguageEncoder(), collection).save(tmp_path / "saved")
    rewrite(tmp_path / "saved" / "calibration.json", change)
    with pytest.raises(BadData, match=message):
        bh.Calibration.load(tmp_path / "saved")


@pytest.mark.parametrize(
    ("method", "languages"),
    [
        ("lir", {}),
        ("lir", {"passages": LANGS}),
        ("lir:on=passages", {"passages": LANGS, "queries": ("de", "en")}),
        ("local", {"passages": LANGS, "queries": ("de", "en")}),
    ],
)
def test_statistics_have_to_be_those_of_the_method(
    collection: bh.Collection, tmp_path: Path, method: str, languages: dict[str, Any]
) -> None:
    bh.calibrate(LanguageEncoder(), collection, "lir").save(tmp_path / "saved")
    rewrite(
        tmp_path / "saved" / "calibration.json",
        lambda it: it.update(method=method, languages=languages),
    )
    with pytest.raises(BadData, match=r"has other statistics than (lir|local).* takes; make it"):
        bh.Calibration.load(tmp_path / "saved")


def make_header(shape: tuple[int, ...]) -> bytes:
    """Return the beginning of an array's file, without its numbers."""
    file = io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no array", "is no calibration"),
        (make_header((10**12,)), "is no calibration: its queries.offsets would not fit"),
        (make_header((10**5,)) + bytes(4 * 10**5), "its queries.offsets would not fit"),
    ],
    ids=["no array", "no memory", "compressed"],
)
def test_arrays_that_claim_too_much_are_refused(
    collection: bh.Collection, tmp_path: Path, content: bytes, message: str
) -> None:
    folder = bh.calibrate(LanguageEncoder(), collection).save(tmp_path / "saved")
    path = folder / "statistics.npz"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    files = {"statistics.npz": record_file(path)}
    rewrite(folder / "calibration.json", lambda it: it.update(files=files))
    with pytest.raises(BadData, match=message):
        bh.Calibration.load(folder)


def test_names_that_mean_no_calibration(collection: bh.Collection, tmp_path: Path) -> None:
    for name, message in (
        ("e5-maen", "e5-maen is no folder of a calibration: no calibration method 'e5-maen'"),
        (tmp_path / "none", "none holds no calibration; beir-hybrid calibrate makes one"),
        (7, "a calibration is one of bh.calibrate, its folder or a method .* not 7"),
    ):
        with pytest.raises((BadOption, UnknownName), match=message):
            bh.evaluate(LanguageEncoder(), collection, measures=[AP], calibration=name)


def test_a_calibration_of_unit_vectors_corrects_no_others(
    collection: bh.Collection, tmp_path: Path
) -> None:
    encoder = LanguageEncoder(normalize=False)
    bh.calibrate(encoder, collection).save(tmp_path / "saved")
    rewrite(tmp_path / "saved" / "calibration.json", lambda it: it.update(unit_length=True))
    with pytest.raises(BadData, match="mean-language is for vectors of unit length; make it again"):
        bh.evaluate(encoder, collection, measures=[AP], calibration=tmp_path / "saved")


def test_many_vectors_are_corrected_in_a_file(
    collection: bh.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = LanguageEncoder()
    options: dict[str, Any] = {"measures": [AP], "calibration": "mean-language"}
    expected = bh.evaluate(encoder, collection, **options)
    monkeypatch.setattr(correction_module, "_MEMORY_BYTES", 0)
    vectors = write_vectors(encoder, collection, tmp_path / "vectors")
    for system in (encoder, bh.read_vectors(vectors, collection)):
        results = bh.evaluate(system, collection, store=tmp_path / "new" / "store", **options)
        assert results.means(AP) == expected.means(AP)
    with full_disk(1000), pytest.raises(NotWritable, match="store"):
        bh.evaluate(encoder, collection, store=tmp_path / "new" / "store", **options)


def write_vectors(encoder: LanguageEncoder, collection: bh.Collection, folder: Path) -> Path:
    folder.mkdir()
    queries, passages = collection.queries, collection.passages
    np.save(folder / "queries.npy", encoder.encode_queries(queries["text"].to_pylist()))
    np.save(folder / "passages.npy", encoder.encode_passages(passages["text"].to_pylist()))
    for role, table in (("queries", queries), ("passages", passages)):
        (folder / f"{role}.txt").write_text("\n".join(table["id"].to_pylist()))
    return folder


def test_another_model_is_refused(collection: bh.Collection, tmp_path: Path) -> None:
    calibration = bh.calibrate(LanguageEncoder(), collection)
    with pytest.raises(BadOption, match=r"is of another model than language, .* its seed"):
        bh.evaluate(LanguageEncoder(1), collection, measures=[AP], calibration=calibration)
    # Before anything is encoded.
    with pytest.raises(BadOption, match="of another model than language"):
        bh.evaluate(
            LanguageEncoder(seed=2), collection, calibration=calibration, store=tmp_path / "store"
        )
    assert not list((tmp_path / "store").glob("*/*.npy"))


def test_vectors_of_any_length_keep_it(collection: bh.Collection) -> None:
    encoder = LanguageEncoder(normalize=False)
    calibration = bh.calibrate(encoder, collection, "centre")
    assert not calibration.unit_length
    vectors = encoder.encode_queries(["de w1 query"])
    mean = np.mean(encoder.encode_queries([f"de w{n} query" for n in range(60)]), axis=0)
    corrected = calibration.correct_queries(vectors, "de")
    np.testing.assert_allclose(corrected[0], vectors[0] - mean, atol=1e-5)


@pytest.mark.parametrize("spec", list(VECTOR_METHODS))
def test_a_language_without_statistics(
    collection: bh.Collection, spec: str, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = LanguageEncoder()
    calibration = bh.calibrate(encoder, collection, spec + (":on=both" if spec == "shift" else ""))
    vectors = encoder.encode_queries(["fr w1 query"])
    corrected = calibration.correct_queries(vectors, "fr")
    assert "no statistics of queries in fr" in caplog.text
    assert np.allclose(corrected, vectors, atol=1e-6) == (spec in ("mean-language", "shift", "lir"))


def test_few_texts(caplog: pytest.LogCaptureFixture) -> None:
    encoder = LanguageEncoder()
    texts = {lang: [f"{lang} w{n}" for n in range(5)] for lang in LANGS}
    calibration = bh.calibrate(encoder, texts, "shift:to=de,on=both")
    assert "statistics of passages come from few texts (de 5, en 5, th 5): take 50" in caplog.text
    assert "corrected by the statistics of passages" in caplog.text
    assert calibration.data == type(calibration.data)("texts", {}, dict.fromkeys(LANGS, 5))
    with pytest.raises(BadData, match="one text among the passages in th: statistics"):
        bh.calibrate(encoder, texts | {"th": ["th w1"]})
    with pytest.raises(BadData, match="there are no passages"):
        bh.calibrate(encoder, {})
    with pytest.raises(BadOption, match="give a list"):
        bh.calibrate(encoder, {"de": "one text", "en": ["one"]})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("xquad-r", r"not a str: bh.load\('xquad-r'\) loads the dataset of that name"),
        (["one", "two"], "takes a collection, or texts by language such as .* not a list$"),
        ({"de": ["one", None]}, "a text in de is None, and no string"),
        ({"en": ["one", "two"], "eng": ["one", "two"]}, "en, eng have a language twice"),
        ({"klingon": ["one", "two"]}, "unknown language code 'klingon'"),
    ],
)
def test_texts_that_cannot_be_taken(texts: Any, message: str) -> None:
    with pytest.raises((BadOption, BadData), match=message):
        bh.calibrate(LanguageEncoder(), texts)


def test_texts_have_the_codes_of_collections() -> None:
    texts = [f"de w{n}" for n in range(60)]
    for codes, expected in (
        (("deu", "EN-us", "zh-CN"), ("de", "en", "zh")),
        (("deu", "zho_Hant", "zh-Hans"), ("de", "zh-Hant", "zh-Hans")),
    ):
        calibration = bh.calibrate(LanguageEncoder(), dict.fromkeys(codes, texts))
        assert calibration.corrections["passages"].languages == expected


@pytest.mark.parametrize("spec", ["shift:to=de", "mean-language:on=passages"])
def test_statistics_of_queries_that_are_not_corrected_do_not_matter(
    spec: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = {lang: [f"{lang} w{n}" for n in range(60)] for lang in LANGS}
    queries = {"de": ["de w1"], "en": ["en w1", "en w2"]}
    bh.calibrate(LanguageEncoder(), texts, spec, queries=queries)
    bh.calibrate(LanguageEncoder(), {"de": ["de w1"]}, "centre:on=queries", queries=texts)
    (message,) = caplog.messages
    assert message == (
        "all passages are in de: there is no language bias to take out, and centre:on=queries "
        "changes vectors all the same"
    )


@pytest.mark.parametrize("spec", ["mean-language", "subspace", "shift:to=de", "lir:alpha=0"])
def test_one_language_has_no_bias(spec: str, caplog: pytest.LogCaptureFixture) -> None:
    texts = {"de": [f"de w{n}" for n in range(60)]}
    calibration = bh.calibrate(LanguageEncoder(), texts, spec, queries=texts)
    assert caplog.messages == ["all passages are in de: there is no language bias to take out"]
    vectors = LanguageEncoder().encode_queries(["de w1", "de w2"])
    np.testing.assert_allclose(calibration.correct_queries(vectors, "de"), vectors, atol=1e-7)


def test_queries_of_one_language_have_a_pool_of_several(caplog: pytest.LogCaptureFixture) -> None:
    texts = {lang: [f"{lang} w{n}" for n in range(60)] for lang in LANGS}
    bh.calibrate(LanguageEncoder(), texts, queries={"en": texts["en"]})
    assert not caplog.messages


def test_directions_leave_something(collection: bh.Collection) -> None:
    bh.calibrate(LanguageEncoder(), collection, f"lir:k={DIM - 1}")
    with pytest.raises(BadOption, match="lir:k=8 leaves nothing of vectors of 8 dimensions"):
        bh.calibrate(LanguageEncoder(), collection, f"lir:k={DIM}")


def test_shift_needs_translations(collection: bh.Collection) -> None:
    encoder = LanguageEncoder()
    with pytest.raises(BadOption, match="shift:to=fr: there are no texts in fr"):
        bh.calibrate(encoder, collection, "shift:to=fr")
    texts = {"de": ["de w1", "de w2"], "en": ["en w1", "en w2", "en w3"]}
    with pytest.raises(BadData, match="needs parallel texts"):
        bh.calibrate(encoder, texts, "shift")


@pytest.mark.parametrize("method", ["mean-language", "shift:to=en"])
def test_images_are_no_language_of_a_calibration(
    method: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Text figures do not depend on whether images are ranked as well."""

    class ImageEncoder(LanguageEncoder):
        def encode_images(self, images: Sequence[Any]) -> np.ndarray:
            return self.encode([f"image w{np.asarray(image).sum()}" for image in images])

    rows: list[dict[str, Any]] = []
    for n in range(30):
        captions = {lang: [f"{lang} w{n} one", f"{lang} w{n} two"] for lang in ("de", "en")}
        rows.append({"id": f"i{n}", "image": f"{n}.png", "captions": captions})
    folder = write_images_folder(tmp_path / "images", rows)
    collection, encoder = bh.load("jsonl-image-text", path=folder), ImageEncoder()
    calibration = bh.calibrate(encoder, collection, method)
    caplog.clear()
    texts = bh.evaluate(
        encoder, collection, measures=[AP], calibration=method, settings="cross multi"
    )
    assert not caplog.messages  # of images, which are not encoded
    for choice in (method, calibration):
        results = bh.evaluate(encoder, collection, measures=[AP], calibration=choice)
        for kind in ("cross", "multi"):
            assert results.summary()[kind] == texts.summary()[kind]


def test_shift_pairs_passages_by_golds_where_their_numbers_mean_nothing() -> None:
    """As in MLQA-R, whose paragraphs are numbered in each language anew."""
    encoder = LanguageEncoder()
    corpus = {f"de:{n}": {"text": f"de w{n} passage"} for n in range(60)}
    # The English passage n is the German one n + 7, and the last seven are of others.
    corpus |= {f"en:{n}": {"text": f"en w{n + 7} passage"} for n in range(60)}
    qrels = {f"en:q:{n}": {f"de:{n + 7}": 1, f"en:{n}": 1} for n in range(0, 53, 2)}
    collection = bh.from_beir(corpus, dict.fromkeys(qrels, "en w1 query"), qrels)
    calibration = bh.calibrate(encoder, collection, "shift:to=en")
    gold = [int(query_id.rpartition(":")[2]) for query_id in qrels]
    german = encoder.encode_passages([corpus[f"de:{n + 7}"]["text"] for n in gold])
    english = encoder.encode_passages([corpus[f"en:{n}"]["text"] for n in gold])
    place = calibration.corrections["passages"].languages.index("de")
    expected = (german - english).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(
        calibration.corrections["passages"].offsets[place], expected, atol=1e-6
    )
    # Numbers that are equal by chance, and golds in one language each, tell nothing.
    alone = {f"{lang}:q:1": {f"{lang}:1": 1} for lang in ("de", "en")}
    unrelated = bh.from_beir(corpus, dict.fromkeys(alone, "en w1 query"), alone)
    with pytest.raises(BadData, match="shift needs parallel texts"):
        bh.calibrate(encoder, unrelated, "shift:to=en")
    # By its name in an evaluation, the method is fitted alike.
    results = [
        bh.evaluate(encoder, collection, measures=[AP], calibration=method).means(AP)
        for method in (calibration, "shift:to=en")
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("center", UnknownName, "no calibration method 'center'; did you mean 'centre'"),
        ("lir:k=0", BadOption, "k is 0"),
        ("lir:q=1", BadOption, "lir has no option 'q'; there are k, alpha, on"),
        ("centre:alpha=2", BadOption, "alpha is 2"),
        ("centre:on=both sides", UnknownName, "no side to correct 'both sides'"),
        ("centre+lir", BadOption, "both change vectors"),
        ("local+zscore", BadOption, "both merge languages"),
        ("local:k=x", BadOption, "k is 'x'"),
        ("round-robin:k=2", BadOption, "round-robin has no option 'k'; it has none"),
        ("local:k", BadOption, "an option of local:k is NAME=VALUE, not 'k'"),
    ],
)
def test_bad_methods(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")):
        parse_method(spec)


def test_settings_that_drop_passages_are_not_merged(collection: bh.Collection) -> None:
    with pytest.raises(BadOption, match="leave out settings"):
        bh.evaluate(
            LanguageEncoder(), collection, calibration="local", settings="one-target", measures=[AP]
        )


def test_a_pool_of_one_language_is_ranked_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A larger k than the language has passages takes all of them."""
    rows = [{"passage": f"p{n}", "text": {"de": f"de w{n} passage"}} for n in range(4)]
    query = {"query": "q", "text": {"de": "de w1 query"}, "relevant": ["p1", "p3"]}
    path = tmp_path / "one.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, query]))
    collection = bh.read_jsonl(path)
    plain = bh.evaluate(LanguageEncoder(), collection, measures=[AP])
    local = bh.evaluate(LanguageEncoder(), collection, measures=[AP], calibration="local:k=9")
    assert local.summary() == plain.summary()
    assert caplog.messages == ["all passages are in de: local:k=9 merges nothing"]


def test_command_line(
    tmp_path: Path,
    run_cli: RunCli,
    model_folder: Path,
) -> None:
    data = write_parallel_words(tmp_path / "data.jsonl", LANGS)
    dataset = ("--dataset", "jsonl", "-o", f"path={data}")
    outcome = run_cli("calibrate", model_folder, *dataset, "--output", tmp_path / "mean",
                      "--method", "mean-language+local:k=2")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "mean-language+local:k=2: 3 languages of data, 60 passages or more" in outcome.out
    for method, code in (("mean-language+local:k=2", 0), ("centre", 2)):
        outcome = run_cli("calibrate", model_folder, *dataset, "--output", tmp_path / "mean",
                          "--method", method)  # fmt: skip
        assert outcome.code == code
    assert outcome.err.endswith("mean is there already; name a new folder or remove it\n")
    outcome = run_cli("evaluate", model_folder, *dataset, "--calibration", tmp_path / "mean",
                      "--measures", "AP", "--output", tmp_path / "one", "--runs")  # fmt: skip
    assert outcome.code == 0, outcome.err
    one = bh.Results.load(tmp_path / "one")
    assert one.model.endswith("units + mean-language+local:k=2")
    two = bh.evaluate(
        model_folder, bh.load("jsonl", path=data), measures=[AP],
        calibration=bh.Calibration.load(tmp_path / "mean"),
    )  # fmt: skip
    assert one.per_query().equals(two.per_query())
    # The run of the pool has the values of the exact ranks, and so has a merge of its languages.
    runs = tmp_path / "one" / "runs"
    again = bh.evaluate_runs([runs / "de-all.trec"], bh.load("jsonl", path=data), measures=[AP])
    expected = [
        row["AP"]
        for row in one.per_query().to_pylist()
        if row["kind"] == "multi" and row["query"].startswith("de:")
    ]
    assert again.per_query()["AP"].to_pylist() == pytest.approx(expected)
    files = [runs / f"de-{lang}.trec" for lang in LANGS]
    outcome = run_cli("merge", *files, "--method", "local:k=2", "--output", tmp_path / "all.trec")
    assert outcome.code == 0, outcome.err
    assert bh.read_run(tmp_path / "all.trec") == bh.read_run(runs / "de-all.trec")
    outcome = run_cli("calibrate", model_folder, *dataset, "--output", tmp_path / "local",
                      "--method", "local:k=2")  # fmt: skip
    assert outcome.out == f"local:k=2: no statistics are needed; saved in {tmp_path / 'local'}\n"
    [line] = [line for line in bh.reproduce_commands(one) if "evaluate" in line]
    assert f"--calibration {tmp_path / 'mean'}" in line
    with pytest.raises(BadOption, match="of a calibration that was given as an object"):
        bh.reproduce_commands(two)


def test_a_folder_with_the_name_of_a_method(
    collection: bh.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its record it is no calibration, and not the method."""
    monkeypatch.chdir(tmp_path)
    bh.calibrate(LanguageEncoder(), collection).save("mean-language")
    Path("mean-language/calibration.json").unlink()
    with pytest.raises(BadOption, match="mean-language holds no calibration"):
        bh.evaluate(LanguageEncoder(), collection, measures=[AP], calibration="mean-language")


def test_lengths_of_half_precision_are_those_of_unit_vectors(collection: bh.Collection) -> None:
    """bfloat16 gives vectors lengths from .998 to 1.004."""

    class Half(LanguageEncoder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            draw = np.random.default_rng([len(texts)])
            factors = draw.uniform(0.998, 1.004, (len(texts), 1))
            return (super().encode(texts) * factors).astype(np.float32)

        encode_queries = encode_passages = encode

    assert bh.calibrate(Half(), collection).unit_length


def test_queries_of_another_length_are_corrected(collection: bh.Collection) -> None:
    """Only the passages have unit length: the length of a query changes no order."""

    class Long(LanguageEncoder):
        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            return 3 * self.encode(texts)

    calibration = bh.calibrate(Long(), collection, "mean-language:on=passages")
    plain = bh.calibrate(LanguageEncoder(), collection, "mean-language:on=passages")
    values = [
        bh.evaluate(encoder, collection, measures=[AP], calibration=chosen).means(AP)
        for encoder, chosen in ((Long(), calibration), (LanguageEncoder(), plain))
    ]
    assert values[0] == values[1]
    both = bh.calibrate(Long(), collection)
    assert bh.evaluate(Long(), collection, measures=[AP], calibration=both).means(AP)


def test_calibrations_on_other_texts_are_told_apart(
    collection: bh.Collection, tmp_path: Path
) -> None:
    results = []
    for draw in (0, 1):
        texts = {lang: [f"{lang} w{draw * 50 + n} x" for n in range(60)] for lang in LANGS}
        calibration = bh.calibrate(LanguageEncoder(), texts, "lir:k=2")
        results.append(
            bh.evaluate(LanguageEncoder(), collection, measures=[AP], calibration=calibration)
        )
    assert results[0].provenance != results[1].provenance
    results[0].save(tmp_path / "results")
    with pytest.raises(BadOption, match="statistics of the calibration"):
        results[1].save(tmp_path / "results")


def test_a_passage_of_two_questions_joins_their_translations() -> None:
    """One question is judged in two languages, another about the same passages in three."""
    starts = {"de": 0, "en": 100, "fr": 200}
    corpus = {
        f"{lang}:{start + n}": {"text": f"{lang} w{n} passage"}
        for lang, start in starts.items()
        for n in range(30)
    }
    qrels, groups = {}, {}
    for n in range(30):
        for kind, langs in (("a", ("de", "en")), ("b", ("de", "en", "fr"))):
            key = f"en:q:{kind}{n}"
            qrels[key] = {f"{lang}:{starts[lang] + n}": 1 for lang in langs}
            groups[key] = key
    queries = dict.fromkeys(qrels, "en w1 query")
    collection = bh.from_beir(corpus, queries, qrels, groups=groups)
    calibration = bh.calibrate(LanguageEncoder(), collection, "shift:to=en")
    encoder = LanguageEncoder()
    french, english = (
        encoder.encode([f"{lang} w{n} passage" for n in range(30)]) for lang in ("fr", "en")
    )
    place = calibration.corrections["passages"].languages.index("fr")
    expected = (french - english).astype(np.float64).mean(axis=0)
    offsets = calibration.corrections["passages"].offsets
    np.testing.assert_allclose(offsets[place], expected, atol=1e-6)


def test_a_damaged_folder_is_not_taken_for_the_same_calibration(
    collection: bh.Collection, tmp_path: Path
) -> None:
    calibration = bh.calibrate(LanguageEncoder(), collection)
    calibration.save(tmp_path / "saved")
    (tmp_path / "saved" / "statistics.npz").unlink()
    with pytest.raises(BadData, match=r"statistics\.npz"):
        calibration.save(tmp_path / "saved")
