"""Evaluation on captions and pictures equals ir-measures on whole rankings, made by brute force."""
# mypy: allow-untyped-calls

from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.compute as pc
import pytest
from ir_measures import AP, RR, Bpref, Measure, R, Success, nDCG

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.collection.cache import load_or_build
from beir_hybrid.collection.judgements import SELF_MATCH
from beir_hybrid.collection.setting import SETTING_KINDS, KindName, Setting
from beir_hybrid.collection.writer import CollectionWriter
from beir_hybrid.encoding import Embeddings
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.evaluation.default_measures import IMAGE_MEASURES
from beir_hybrid.evaluation.evaluate import evaluate
from beir_hybrid.evaluation.evaluator import HybridEvaluator
from beir_hybrid.evaluation.external_runs import evaluate_runs
from beir_hybrid.evaluation.vectors import CollectionVectors
from beir_hybrid.measures.base import is_higher_better
from beir_hybrid.measures.language_disparity import LanguageDisparity
from beir_hybrid.measures.language_exposure import LanguageExposure
from beir_hybrid.measures.language_preference import LanguagePreference
from beir_hybrid.measures.modality_share import ModalityShare
from beir_hybrid.measures.rank_distance import RankDistance
from beir_hybrid.measures.same_language_share import SameLanguageShare
from beir_hybrid.results.compare import compare
from beir_hybrid.results.mteb import list_mteb_scores
from beir_hybrid.results.provenance import ModelProvenance
from beir_hybrid.results.render import list_notes, render_terminal
from beir_hybrid.results.results import Results
from beir_hybrid.retrieval.rank import rank
from beir_hybrid.retrieval.runs import read_run
from beir_hybrid.retrieval.sharded import rank_sharded
from tests.rankings import make_request, make_scorer

PLAIN: list[Measure] = [AP, nDCG @ 3, R @ 2, RR, RR @ 3, Success @ 1]
BIASED: list[Measure] = [
    RankDistance,
    LanguagePreference,
    SameLanguageShare @ 3,
    LanguageExposure @ 3,
]
LANGS = ("de", "en", "zza")  # the last sorts behind "image"
Scores = dict[str, dict[str, float]]


def captions(seed: int = 0, pictures: int = 9) -> dict[tuple[str, str], int]:
    """Say how many captions a picture has in a language; some have none."""
    draw = np.random.default_rng(seed)
    counts = {
        (str(n), lang): int(draw.integers(0, 3)) for n, lang in product(range(pictures), LANGS)
    }
    return (
        counts
        | {("0", lang): 0 for lang in LANGS}
        | {("1", "de"): 1, ("1", "en"): 0, ("1", "zza"): 0}
    )


def collection_of(counts: dict[tuple[str, str], int]) -> Collection:
    """Make a collection in which every caption is asked and found."""

    def build(writer: CollectionWriter) -> None:
        keys = sorted({key for key, _ in counts})
        texts = [
            (lang, key, f"{key}-{n}") for (key, lang), many in counts.items() for n in range(many)
        ]
        for lang, _, caption in texts:
            writer.add_passage(lang, caption, "", f"{lang} {caption}")
        for key in keys:
            writer.add_passage("image", key, "", f"sha256:{key}", image=f"/nowhere/{key}.png")
        described = sorted({key for _, key, _ in texts})
        for lang, key, caption in [*texts, *[("image", key, key) for key in described]]:
            path = f"/nowhere/{key}.png" if lang == "image" else None
            text = f"sha256:{key}" if path else f"{lang} {caption}"
            query = writer.add_query(lang, caption, text, key, image=path)
            for other, of, found in [*texts, *[("image", key, key) for key in keys]]:
                if of == key:
                    same = (lang, caption) == (other, found)
                    writer.add_judgement(query, f"{other}:{found}", SELF_MATCH if same else 1)
        writer.finish()

    return load_or_build(
        "pictures", {"counts": sorted(map(str, counts.items()))}, build, has_images=True
    )


def vectors_of(collection: Collection, seed: int, dim: int = 3) -> CollectionVectors:
    """Draw small whole numbers, so that many scores tie; a query is the passage that it is."""
    draw = np.random.default_rng(seed)
    texts = [*collection.queries["text"].to_pylist(), *collection.passages["text"].to_pylist()]
    rows = {text: draw.integers(-1, 2, dim).astype(np.float32) for text in dict.fromkeys(texts)}
    queries, passages = (
        Embeddings.from_array(np.stack([rows[text] for text in table["text"].to_pylist()]))
        for table in (collection.queries, collection.passages)
    )
    return CollectionVectors(
        queries, passages, ModelProvenance("drawn", fingerprint={"seed": seed})
    )


def expected(
    collection: Collection, vectors: CollectionVectors, kind: KindName
) -> dict[Setting, tuple[Any, Any]]:
    """Return the run and the judgements of each setting of a kind, from nothing but rows.

    This is what the settings mean: which queries, which passages, and none for itself.
    """
    asked, found = collection.queries.to_pylist(), collection.passages.to_pylist()
    scores = vectors.queries.take(slice(None)) @ vectors.passages.take(slice(None)).T
    judged: dict[int, dict[int, int]] = defaultdict(dict)
    for row in collection.judgements.to_pylist():
        judged[row["query"]][row["passage"]] = row["relevance"]
    runs: dict[Setting, tuple[Scores, dict[str, dict[str, int]]]] = defaultdict(lambda: ({}, {}))
    for number, query in enumerate(asked):
        mine = judged[number]
        for setting, langs in rankings_of(kind, query["lang"]):
            inside = [n for n, passage in enumerate(found) if passage["lang"] in langs]
            inside = [n for n in inside if mine.get(n) != SELF_MATCH]
            if kind == "one-target":
                far = [
                    n for n in inside if mine.get(n, 0) > 0 and found[n]["lang"] != setting.passages
                ]
                inside = [n for n in inside if n not in far]
            qrels = {found[n]["id"]: mine[n] for n in inside if n in mine}
            if any(relevance > 0 for relevance in qrels.values()):
                runs[setting][0][query["id"]] = {
                    found[n]["id"]: float(scores[number, n]) for n in inside
                }
                runs[setting][1][query["id"]] = qrels
    return dict(runs)


def rankings_of(kind: KindName, lang: str) -> list[tuple[Setting, tuple[str, ...]]]:
    """Return the settings of a kind that a query in a language, or a picture, takes part in."""
    if (lang == "image") != kind.startswith("image-"):
        return []
    table: dict[KindName, list[tuple[str, tuple[str, ...]]]] = {
        "mono": [(lang, (lang,))],
        "cross": [(other, (other,)) for other in LANGS if other != lang],
        "multi": [("all", LANGS)],
        "one-target": [(other, LANGS) for other in LANGS],
        "text-image": [("image", ("image",))],
        "image-text": [(other, (other,)) for other in LANGS],
        "image-pool": [("all", LANGS)],
        "mixed": [("mixed", (*LANGS, "image"))],
    }
    return [(Setting(kind, lang, passages), langs) for passages, langs in table[kind]]


def column(results: Results, measure: Measure, setting: Setting) -> dict[str, float]:
    inside = pc.scalar(value=True)
    for name, wanted in zip(("kind", "queries", "passages"), setting, strict=True):
        inside = inside & (pc.field(name) == wanted)
    rows = results.per_query().filter(inside)
    return dict(zip(rows["query"].to_pylist(), rows[str(measure)].to_pylist(), strict=True))


def agree(found: dict[str, float], measure: Measure, run: Scores, qrels: Any, where: Any) -> None:
    values = {one.query_id: one.value for one in ir_measures.iter_calc([measure], qrels, run)}
    assert found.keys() == run.keys(), where
    for query, value in found.items():
        assert value == pytest.approx(values[query], nan_ok=True), (where, measure, query)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", list(SETTING_KINDS))
def test_every_kind_equals_whole_rankings_without_the_query_itself(
    kind: KindName, seed: int
) -> None:
    collection = collection_of(captions(seed))
    vectors = vectors_of(collection, seed)
    results = evaluate(vectors, collection, settings=[kind], measures=[*PLAIN, *BIASED])
    settings = expected(collection, vectors, kind)
    assert set(results.settings) == set(settings)
    pooled = kind in ("multi", "image-pool")
    for setting, (run, qrels) in settings.items():
        for measure in [*PLAIN, *(BIASED if pooled else [])]:
            agree(column(results, measure, setting), measure, run, qrels, setting)
        for measure in [] if pooled else BIASED:
            assert np.isnan([*column(results, measure, setting).values()]).all()


@pytest.mark.parametrize("seed", range(3))
def test_all_kinds_at_once_and_runs_hold_what_each_alone_does(seed: int, tmp_path: Path) -> None:
    """Bpref sees runs, so that everything is ranked group by group and kept."""
    collection = collection_of(captions(seed))
    vectors = vectors_of(collection, seed)
    measures = [AP, Bpref, SameLanguageShare @ 3, ModalityShare @ 4, LanguageDisparity]
    results = evaluate(vectors, collection, measures=measures, runs=tmp_path / "runs", depth=5)
    plain = evaluate(vectors, collection, measures=[AP, *measures[2:]])
    names = {path.stem for path in (tmp_path / "runs").iterdir()}
    for kind in results.kinds:
        for setting, (run, qrels) in expected(collection, vectors, kind).items():
            agree(column(results, AP, setting), AP, run, qrels, setting)
            cut = {query: dict(ranked(scores)[:5]) for query, scores in run.items()}
            view = collection.view_setting(setting)
            assert read_run(tmp_path / "runs" / f"{view.name}.trec") == cut
            assert {row["passage_id"] for row in view.qrels.to_pylist()} == {
                passage for judged in qrels.values() for passage in judged
            }
            agree(column(results, Bpref, setting), Bpref, cut, qrels, setting)
            names.remove(view.name)
            for measure in measures[2:]:
                alone, deep = (column(one, measure, setting) for one in (plain, results))
                assert alone == pytest.approx(deep, nan_ok=True)
    assert not names


def ranked(scores: dict[str, float]) -> list[tuple[str, float]]:
    """Sort as trec_eval does."""
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_pictures_is_that_of_the_first_places(seed: int) -> None:
    collection = collection_of(captions(seed))
    vectors = vectors_of(collection, seed)
    results = evaluate(vectors, collection, measures=[ModalityShare @ 4])
    assert [kind for kind, row in results.summary().items() if row] == ["mixed"]
    shares = defaultdict(list)
    for setting, (run, qrels) in expected(collection, vectors, "mixed").items():
        for query, value in column(results, ModalityShare @ 4, setting).items():
            first = [passage for passage, _ in ranked(run[query])[:4]]
            assert value == sum(passage.startswith("image:") for passage in first) / 4
            relevant = [passage for passage, relevance in qrels[query].items() if relevance > 0]
            images = sum(passage.startswith("image:") for passage in relevant)
            shares[setting].append(images / len(relevant))
    found = results.summary()["mixed"][ModalityShare @ 4]
    assert found.unbiased == pytest.approx(np.mean([np.mean(one) for one in shares.values()]))


@pytest.mark.parametrize("seed", range(4))
def test_language_disparity_is_the_spread_of_mean_ranks(seed: int) -> None:
    collection = collection_of(captions(seed))
    vectors = vectors_of(collection, seed)
    scaled = LanguageDisparity(normalized=True)
    results = evaluate(vectors, collection, measures=[LanguageDisparity, scaled])
    assert results.kinds[-4:] == ("text-image", "image-text", "image-pool", "mixed")
    assert [kind for kind, row in results.summary().items() if row] == ["text-image"]
    ranks: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    settings = expected(collection, vectors, "text-image")
    for setting, (run, qrels) in settings.items():
        for query, scores in run.items():
            (gold,) = qrels[query]
            place = [passage for passage, _ in ranked(scores)].index(gold) + 1
            ranks[gold][setting.queries].append(place)
    for setting, (_, qrels) in settings.items():
        values, shares = (column(results, one, setting) for one in (LanguageDisparity, scaled))
        for query, judged in qrels.items():
            means = [float(np.mean(found)) for found in ranks[next(iter(judged))].values()]
            wanted = max(means) - min(means) if len(means) > 1 else np.nan
            assert values[query] == pytest.approx(wanted, nan_ok=True)
            random = spread_by_listing(len(means), 9) if len(means) > 1 else 1
            assert shares[query] == pytest.approx(wanted / random, nan_ok=True)


def spread_by_listing(langs: int, pool: int) -> float:
    draws = list(product(range(1, pool + 1), repeat=langs))
    return sum(max(draw) - min(draw) for draw in draws) / len(draws)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        # a: ranks 1 (de) and 3, 2 (en, mean 2.5), spread 1.5. b: 4 for all. c: in one language.
        (LanguageDisparity, (3 * 1.5 + 2 * 0.0) / 5),
        # Two ranks of 1..4 are 10/8 apart on average: sums over 16 pairs of 6 + 8 + 6 = 20.
        (LanguageDisparity(normalized=True, pool=4), 3 * 1.5 / 1.25 / 5),
        (ModalityShare @ 2, 1.0),
    ],
)
def test_by_hand(measure: Measure, value: float) -> None:
    qrels = {"de:q:a-0": "a", "en:q:a-0": "a", "en:q:a-1": "a", "de:q:b-0": "b", "en:q:b-0": "b"}
    orders = {"de:q:a-0": "acdb", "en:q:a-0": "cdab", "en:q:a-1": "cadb", "de:q:b-0": "acdb"}
    orders |= {"en:q:b-0": "cdab", "de:q:c-0": "cabd"}
    judged = {query: {f"image:{key}": 1} for query, key in (qrels | {"de:q:c-0": "c"}).items()}
    run = {
        query: {f"image:{key}": float(9 - place) for place, key in enumerate(order)}
        for query, order in orders.items()
    }
    assert ir_measures.calc_aggregate([measure], judged, run)[measure] == pytest.approx(value)


def test_what_a_run_does_not_find_is_never_fair() -> None:
    judged = {f"{lang}:q:{key}": {f"image:{key}": 1} for key in "ab" for lang in ("de", "en")}
    run = {"de:q:a": {"image:a": 2.0, "image:b": 1.0, "image:c": 0.5}, "en:q:a": {"image:c": 1.0}}
    values = {one.query_id: one.value for one in LanguageDisparity(pool=10).iter_calc(judged, run)}
    # a: 1 in German, the end of the pool in English. b: found by nobody, the worst there is.
    assert values == {"de:q:a": 9, "en:q:a": 9, "de:q:b": 9, "en:q:b": 9}
    share = ModalityShare @ 2
    found = {one.query_id: one.value for one in share.iter_calc(judged, run)}
    assert found == {"de:q:a": 1, "en:q:a": 1, "de:q:b": 1, "en:q:b": 1}


def test_measures_of_languages_say_nothing_of_pictures_that_ask() -> None:
    judged = {"image:q:a": {"de:a": 1, "en:a": 1}}
    run = {"image:q:a": {"de:a": 4.0, "de:b": 3.0, "en:b": 2.0, "en:a": 1.0}}
    for measure in (SameLanguageShare @ 2, LanguagePreference):
        assert np.isnan(ir_measures.calc_aggregate([measure], judged, run)[measure])
    assert ir_measures.calc_aggregate([RankDistance], judged, run)[RankDistance] == 3


def test_a_normalized_disparity_needs_the_pool_and_names_itself() -> None:
    with pytest.raises(BadOption, match=r"LanguageDisparity\(normalized=True,pool=13014\)"):
        ir_measures.calc_aggregate(
            [LanguageDisparity(normalized=True)], {"de:q:1": {"image:1": 1}}, {}
        )
    assert not is_higher_better(LanguageDisparity)
    with pytest.raises(BadOption, match="neither high nor low values of ModalityShare@10"):
        is_higher_better(ModalityShare @ 10)


@pytest.mark.parametrize("shard_size", [1, 7, 100])
def test_images_are_in_no_pool_of_languages_whatever_the_shards(shard_size: int) -> None:
    draw = np.random.default_rng(3)
    queries, passages = (draw.integers(-1, 2, (n, 3)).astype(np.float32) for n in (20, 50))
    languages = {"de": range(30), "en": range(30, 30), "image": range(30, 50)}
    id_order = draw.permutation(50).astype(np.int32)
    golds = np.repeat(np.arange(20), 3), draw.integers(0, 50, 60)
    scores, scorer = queries @ passages.T, make_scorer(queries, passages)
    options: Any = {"k": 40, "collects_languages": True, "image_language": "image"}
    request = make_request(golds, languages, id_order, **options)
    for ranked in (rank(scorer, request), rank_sharded(scorer, request, shard_size=shard_size)):
        for ranks, rows in ((ranked.pool_ranks, range(30)), (ranked.mixed_ranks, range(50))):
            for i, (gold_query, gold) in enumerate(zip(*golds, strict=True)):
                gold_key = scores[gold_query, gold], id_order[gold]
                above = [n for n in rows if (scores[gold_query, n], id_order[n]) > gold_key]
                assert ranks.rank()[i] == 1 + len(above)
        for name, rows in (("", range(30)), ("*", range(50)), ("image", range(30, 50))):
            for query in range(20):
                top = sorted(rows, key=lambda n: (-scores[query, n], -id_order[n]))[:40]
                assert ranked.top[name].rows[query].tolist() == top


def test_runs_from_elsewhere_score_as_the_vectors_that_made_them(tmp_path: Path) -> None:
    collection = collection_of(captions(5))
    vectors = vectors_of(collection, 5)
    plain = [AP, RankDistance, SameLanguageShare @ 3, ModalityShare @ 3, LanguageDisparity]
    measures = [*plain, RankDistance(normalized=True), LanguageDisparity(normalized=True)]
    direct = evaluate(vectors, collection, measures=measures, runs=tmp_path / "runs", depth=100)
    again = evaluate_runs(sorted((tmp_path / "runs").iterdir()), collection, measures=measures)
    assert again.settings == direct.settings
    for measure in measures:
        for setting, mean in direct.means(measure).items():
            assert again.means(measure)[setting] == pytest.approx(mean), (measure, setting)
    assert again.provenance.unbiased == direct.provenance.unbiased
    assert again.provenance.unbiased_elsewhere == direct.provenance.unbiased_elsewhere
    # A file of another name is told apart by what it holds, and what is found for itself goes.
    lines = (tmp_path / "runs" / "de-mixed.trec").read_text("utf-8").splitlines()
    query = lines[0].split()[0]
    own = query.replace(":q:", ":")
    (tmp_path / "mine").write_text("\n".join([*lines, f"{query} Q0 {own} 0 99 me"]), "utf-8")
    mine = evaluate_runs(tmp_path / "mine", collection, measures=[AP])
    assert mine.means(AP) == {
        setting: mean
        for setting, mean in direct.means(AP).items()
        if setting[1:] == ("de", "mixed")
    }


def test_runs_of_pictures_for_pictures_are_refused(tmp_path: Path) -> None:
    path = bh.write_run(tmp_path / "image-image.trec", {"image:q:3": {"image:4": 1.0}})
    with pytest.raises(BadOption, match="image-image is no setting"):
        evaluate_runs(path, collection_of(captions()), measures=[AP])


def test_defaults_matrix_table_and_export() -> None:
    collection = collection_of(captions())
    results = evaluate(vectors_of(collection, 1), collection)
    assert results.measures == IMAGE_MEASURES
    assert results.kinds == tuple(kind for kind in SETTING_KINDS if kind != "one-target")
    matrix = results.matrix(AP)
    assert matrix.rows == matrix.columns == ("de", "en", "zza", "image")
    means = results.means(AP)
    assert matrix["de", "image"] == means[Setting("text-image", "de", "image")]
    assert matrix["image", "zza"] == means[Setting("image-text", "image", "zza")]
    assert np.isnan(matrix["image", "image"])
    assert results.provenance.collection.images == 9
    assert results.provenance.collection.languages == ("de", "en", "zza")
    exported = {(score.query_lang, score.passage_lang) for score in list_mteb_scores(results)}
    assert exported == {*product(LANGS, (*LANGS, "all"))}
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as said:
        console.print(render_terminal(results))
    head, first, *_ = said.get().splitlines()
    assert head.startswith("drawn on pictures: 3 languages, 9 images, ")
    assert first.split() == ["measure", "mono", "cross", "multi", "unbiased"]
    assert any(
        line.split() == ["measure", "text-image", "image-text", "image-pool", "mixed", "unbiased"]
        for line in said.get().splitlines()
    )
    for title in ("text to image", "image to text", "image to captions", "mixed pool"):
        assert f"<th>{title}</th>" in results._repr_html_()


def test_results_come_back_and_are_compared(tmp_path: Path) -> None:
    collection = collection_of(captions())
    first, second = (evaluate(vectors_of(collection, seed), collection) for seed in (1, 2))
    loaded = Results.load(first.save(tmp_path / "first"))
    assert loaded.summary() == first.summary()
    rows = compare(loaded, second, measures=["LanguageDisparity"])
    assert [row.where for row in rows] == ["text-image"]
    gap = first.summary()["text-image"][LanguageDisparity].mean
    gap -= second.summary()["text-image"][LanguageDisparity].mean
    assert rows[0].difference.value == pytest.approx(gap)


def test_unbiased_values_of_several_pools_name_them() -> None:
    counts = {(str(n), lang): 1 for n, lang in product(range(4), LANGS)}
    collection = collection_of(counts)
    results = evaluate(vectors_of(collection, 1), collection, measures=[RankDistance, AP])
    assert "mono" not in results.kinds  # with one caption a language, there is none beside itself
    summary = results.summary()
    # For a caption two others are parallel, for a picture all three.
    assert summary["multi"][RankDistance].unbiased == 1
    assert summary["image-pool"][RankDistance].unbiased == 2
    assert "<td>1.0000 multi, 2.0000 image-pool</td>" in results._repr_html_()


def test_notes_say_which_settings_a_measure_takes() -> None:
    collection = collection_of(captions())
    results = evaluate(
        vectors_of(collection, 1),
        collection,
        settings="mono",
        measures=[AP, RankDistance, LanguageDisparity, ModalityShare @ 2],
    )
    assert [note for note in list_notes(results) if note.startswith("no value")] == [
        "no value of RankDistance: it takes settings of the kind multi or image-pool",
        "no value of LanguageDisparity: it takes settings of the kind text-image",
        "no value of ModalityShare@2: it takes settings of the kind mixed",
    ]


def test_captions_alone_need_no_vectors_of_pictures() -> None:
    collection = collection_of(captions())

    class Lengths:
        fingerprint = {"kind": "letters"}  # noqa: RUF012 - as encoders have it

        def encode_queries(self, texts: list[str]) -> np.ndarray:
            return np.array([[text.count(c) for c in "dez01234"] for text in texts], np.float32)

        encode_passages = encode_queries

    results = evaluate(Lengths(), collection, settings="mono cross multi", measures=[AP])
    assert results.kinds == ("mono", "cross", "multi")
    # Those of pictures, which must not matter.
    rows = [
        Embeddings.from_array(Lengths().encode_queries(table["text"].to_pylist()))
        for table in (collection.queries, collection.passages)
    ]
    vectors = CollectionVectors(rows[0], rows[1], ModelProvenance("m"))
    for kind in results.kinds:
        for setting, (run, qrels) in expected(collection, vectors, kind).items():
            agree(column(results, AP, setting), AP, run, qrels, setting)
    with pytest.raises((BadOption, BadData), match="Lengths"):
        evaluate(Lengths(), collection, measures=[AP])


def test_pictures_that_no_caption_describes_are_only_found() -> None:
    """A collection of one language has no pools of languages."""
    collection = collection_of({("a", "de"): 2, ("b", "de"): 1, ("c", "de"): 0})
    results = evaluate(vectors_of(collection, 4), collection, measures=[AP])
    assert results.kinds == ("mono", "text-image", "image-text", "mixed")
    asked = set(results.per_query()["query"].to_pylist())
    assert asked == {"de:q:a-0", "de:q:a-1", "de:q:b-0", "image:q:a", "image:q:b"}
    with pytest.raises(BadOption, match="has no image-pool settings; it has mono, text-image"):
        evaluate(vectors_of(collection, 4), collection, settings="image-pool")


def test_the_evaluator_knows_the_kinds() -> None:
    collection = collection_of(captions())
    evaluator = HybridEvaluator(collection, name="dev", primary="text-image_LanguageDisparity")
    assert evaluator.primary_metric == "dev_text-image_LanguageDisparity"
    assert not evaluator.greater_is_better
    with pytest.raises(BadOption, match="needs the settings 'text-image'"):
        HybridEvaluator(collection, measures=[LanguageDisparity], settings=["mixed"])
