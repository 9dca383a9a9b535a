"""Training on captions and images: batches, masks, towers, adapters, caches."""

import json
import logging
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

import beir_hybrid as bh
from beir_hybrid.collection import Collection
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.joining import join_pairs
from beir_hybrid.pairs.parallel_pairs import ParallelPairs
from beir_hybrid.pairs.reading import pairs_from_groups, read_pairs
from beir_hybrid.pairs.row_codes import SampledRow
from beir_hybrid.training.towers import freeze_part, match_attention_layers
from tests.models import static_model, tiny_clip, tiny_siglip, transformer_model
from tests.test_pairs import hash_text
from tests.test_resume_training import simulate_kill

LANGS = ("de", "en", "fr")
COLOURS = {  # in English: German, French, and what it looks like
    "red": ("rot", "rouge", (230, 30, 30)),
    "blue": ("blau", "bleu", (30, 60, 220)),
    "green": ("gruen", "vert", (30, 180, 60)),
    "white": ("weiss", "blanc", (250, 250, 250)),
    "black": ("schwarz", "noir", (5, 5, 5)),
    "yellow": ("gelb", "jaune", (240, 220, 40)),
    "pink": ("rosa", "rose", (250, 150, 190)),
    "grey": ("grau", "gris", (128, 128, 128)),
}
SMALL: dict[str, Any] = {
    "per_device_train_batch_size": 6,
    "learning_rate": 0.005,
    "use_cpu": True,
    "disable_tqdm": True,
    "report_to": [],
}


def paint_image(path: Path, top: str, low: str) -> Path:
    """Paint a image of two colours."""
    image = Image.new("RGB", (32, 32), COLOURS[top][2])
    image.paste(COLOURS[low][2], (0, 16, 32, 32))
    image.save(path)
    return path


def write_flags(folder: Path, n: int = 60) -> list[dict[str, Any]]:
    """Paint images and describe each in three languages, as a folder that `load` takes."""
    rows: list[dict[str, Any]] = []
    for top in COLOURS:
        for low in list(COLOURS)[: n - len(rows)]:
            paint_image(folder / f"{top}-{low}.png", top, low)
            captions = {
                "en": f"{top} over {low}",
                "de": f"{COLOURS[top][0]} auf {COLOURS[low][0]}",
                "fr": f"{COLOURS[top][1]} sur {COLOURS[low][1]}",
            }
            flag_id = f"{top}-{low}"
            rows.append({"id": flag_id, "image": f"{flag_id}.png", "captions": captions})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "captions.jsonl").write_text(text, "utf-8")
    return rows


@pytest.fixture(scope="module")
def flag_collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Sixty images, each with a caption in each of three languages."""
    before = os.environ.get("BEIR_HYBRID_CACHE")
    folder = tmp_path_factory.mktemp("flags")
    os.environ["BEIR_HYBRID_CACHE"] = str(folder / "cache")
    try:
        write_flags(folder)
        return bh.load("jsonl-image-text", path=folder)
    finally:
        os.environ.pop("BEIR_HYBRID_CACHE")
        if before is not None:
            os.environ["BEIR_HYBRID_CACHE"] = before


@pytest.fixture(scope="module")
def flag_pairs(flag_collection: Collection) -> ParallelPairs:
    return bh.pairs_from_collection(flag_collection)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


def write_four_images(folder: Path) -> list[dict[str, Any]]:
    """Return groups of four images: one with two English captions, one that is its twin."""
    for name, top in (("a", "red"), ("b", "blue"), ("c", "green"), ("twin", "red")):
        paint_image(folder / f"{name}.png", top, "white")
    captions: list[dict[str, Any]] = [
        {"id": "a", "captions": {"de": "Rot", "en": ["red", "scarlet"]}},
        {"id": "b", "captions": {"de": "Blau", "en": "blue"}},
        {"id": "c", "captions": {"en": "green"}},
        {"id": "twin", "captions": {"de": "Rot wie Blut"}},
    ]
    rows = [row | {"image": f"{row['id']}.png"} for row in captions]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "captions.jsonl").write_text(text, "utf-8")
    return rows


def checksum(path: Path) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_pairs_from_a_collection_by_hand(tmp_path: Path) -> None:
    write_four_images(tmp_path)
    pairs = bh.pairs_from_collection(bh.load("jsonl-image-text", path=tmp_path))
    assert pairs.languages == ("de", "en", "image")
    assert (len(pairs), pairs.has_images) == (5, True)
    table = {row["id"]: row for row in pairs.data.table.to_pylist()}
    assert sorted(table) == ["a#0", "a#1", "b#0", "c#0", "twin#0"]
    assert (table["a#0"]["query.en"], table["a#0"]["positive.en"]) == ("red", "scarlet")
    assert (table["a#1"]["query.en"], table["a#1"]["positive.en"]) == ("scarlet", "red")
    assert table["a#1"]["query.de"] is None
    assert table["a#0"]["positive.image"] == checksum(tmp_path / "a.png")
    assert table["twin#0"]["positive.image"] == checksum(tmp_path / "a.png")
    assert [row["query.image"] for row in table.values()] == [None] * 5
    # Everything that fits the image answers each caption of it, of its twin too.
    texts = ["Rot", "red", "scarlet", "Rot wie Blut", checksum(tmp_path / "a.png")]
    order = [row["id"] for row in pairs.data.table.to_pylist()]
    for name in ("a#0", "a#1", "twin#0"):
        golds = pairs.groups.gold_hashes[order.index(name)]
        assert sorted(golds[golds >= 0].tolist()) == sorted(map(hash_text, texts))
    blue = pairs.groups.gold_hashes[order.index("b#0")]
    expected = [hash_text("Blau"), hash_text("blue"), hash_text(checksum(tmp_path / "b.png"))]
    assert sorted(blue[blue >= 0].tolist()) == sorted(expected)


def test_a_caption_is_never_its_own_passage(tmp_path: Path) -> None:
    write_four_images(tmp_path)
    pairs = bh.pairs_from_collection(bh.load("jsonl-image-text", path=tmp_path))
    for name in ("x-x-mono", "x-x", "x-y", "x-y-batch", "hybrid", "hybrid-image", "x-image"):
        for seed in range(5):
            sampler = bh.HybridBatchSampler(pairs, 1, seed=seed, strategy=name)
            rows = [row for batch in sampler for row in pairs.__getitems__(batch)]
            assert rows
            assert all(row["anchor"] != row["positive"] for row in rows)
    # What is left of one language: two captions of a image, and those of twins.
    sampler = bh.HybridBatchSampler(pairs, 1, strategy="x-x-mono")
    texts = {
        (row["anchor"], row["positive"]) for batch in sampler for row in pairs.__getitems__(batch)
    }
    assert ("red", "scarlet") in texts
    assert ("scarlet", "red") in texts
    assert not {"Blau", "blue", "green"} & {anchor for anchor, _ in texts}


def decode_batch(pairs: ParallelPairs, batch: list[int]) -> list[SampledRow]:
    return [pairs.decode_row(code) for code in batch]


def name_batch_kind(rows: list[SampledRow]) -> str:
    """Say what a batch is, by its languages alone."""
    query_languages, passage_languages = ({row[at] for row in rows} for at in (1, 2))
    if passage_languages == {"image"}:
        return "image" if len(query_languages) == 1 else "image-rows"
    assert "image" not in passage_languages
    is_monolingual = {row.query_language == row.passage_language for row in rows}
    assert len(is_monolingual) == 1
    if is_monolingual == {True}:
        return "mono" if len(query_languages) == 1 else "mono-rows"
    return "cross" if len({row[1:] for row in rows}) == 1 else "cross-rows"


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("x-image", {"image"}),
        ("x-image-rows", {"image-rows"}),
        ("x-y", {"cross-rows"}),
        ("x-y-batch", {"cross"}),
        ("hybrid-image:alpha=0.5", {"image", "cross-rows"}),
        ("hybrid-image:alpha=0.5,cross=cross", {"image", "cross"}),
        ("hybrid-image:alpha=1", {"image"}),
        ("hybrid-image:alpha=0", {"cross-rows"}),
    ],
)
def test_batches_of_each_strategy(flag_pairs: ParallelPairs, name: str, kinds: set[str]) -> None:
    sampler = bh.HybridBatchSampler(flag_pairs, 6, seed=1, strategy=name)
    batches = list(sampler)
    assert sorted(decode_batch(flag_pairs, [code])[0].group for b in batches for code in b) == list(
        range(60)
    )
    counts = Counter(name_batch_kind(decode_batch(flag_pairs, batch)) for batch in batches)
    assert set(counts) == kinds
    audit = sampler.audit()
    assert audit.batches == counts
    rows = Counter(
        "-".join(decode_batch(flag_pairs, [code])[0][1:]) for batch in batches for code in batch
    )
    assert audit.rows == rows
    if kinds == {"image"}:
        assert set(rows) == {"de-image", "en-image", "fr-image"}
    second_sampler = bh.HybridBatchSampler(flag_pairs, 6, seed=1, strategy=name)
    assert list(second_sampler) == batches  # of the seed alone
    assert list(bh.HybridBatchSampler(flag_pairs, 6, seed=2, strategy=name)) != batches


def test_rows_have_images_or_texts(flag_pairs: ParallelPairs) -> None:
    de, image = flag_pairs.languages.index("de"), flag_pairs.languages.index("image")
    row, text = flag_pairs.__getitems__(
        [int(flag_pairs.row_codes.encode(1, de, image)), int(flag_pairs.row_codes.encode(1, de, 1))]
    )
    assert (row["anchor"], text["positive"]) == ("rot auf blau", "red over blue")
    assert row["positive"].mode == "RGB"
    assert row["positive"].getpixel((3, 3)) == COLOURS["red"][2]
    assert row["positive"].getpixel((3, 20)) == COLOURS["blue"][2]
    path = flag_pairs.data.table["path.image"][1].as_py()
    assert row["label"][0] == hash_text(checksum(Path(path)))
    assert row["label"][-1] == hash_text("image")
    assert flag_pairs[1]["positive"].size == (32, 32)  # a plain index shows the image
    plain = flag_pairs.select([1, 2])
    assert plain[0]["positive"].getpixel((3, 20)) == COLOURS["blue"][2]
    assert flag_pairs.select_columns(["anchor"])[1] == {"anchor": "rot auf blau"}


def test_changed_images_are_refused(tmp_path: Path, clip_folder: Path) -> None:
    write_four_images(tmp_path)
    pairs = bh.pairs_from_collection(bh.load("jsonl-image-text", path=tmp_path))
    ids = pairs.data.table["id"].to_pylist()
    paint_image(tmp_path / "b.png", "green", "green")
    changed = r"b\.png is no longer the image that was loaded; load the collection or pairs anew"
    with pytest.raises(BadData, match=changed):
        pairs[ids.index("b#0")]
    with pytest.raises(BadData, match=changed):
        bh.TipCache.from_pairs(bh.SentenceTransformerEncoder(clip_folder, normalize=True), pairs)
    (tmp_path / "b.png").unlink()
    with pytest.raises(BadData, match=r"there is no file .*b\.png; load"):
        pairs[ids.index("b#0")]
    assert pairs[ids.index("c#0")]["positive"].getpixel((3, 3)) == COLOURS["green"][2]


def test_alpha_is_the_share_of_image_batches(flag_pairs: ParallelPairs) -> None:
    counts: Counter[str] = Counter()
    for seed in range(40):
        sampler = bh.HybridBatchSampler(
            flag_pairs, 6, seed=seed, strategy=bh.parse_strategy("hybrid-image", alpha=0.3)
        )
        counts += sampler.audit().batches
    share = counts["image"] / counts.total()
    assert counts.total() == 400
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 400)


def test_languages_are_drawn_by_temperature(tmp_path: Path) -> None:
    path = paint_image(tmp_path / "a.png", "red", "blue")
    groups = [
        {"query": {"de": f"d{n}"} if n % 4 else {"de": f"d{n}", "en": f"e{n}"}, "image": str(path)}
        for n in range(20)
    ]
    pairs = pairs_from_groups(groups)  # 20 German captions, 5 English ones; one image
    counts: dict[float, Counter[str]] = {}
    for heat in (0.0, 1.0):
        counts[heat] = Counter()
        for seed in range(300):
            strategy = bh.parse_strategy("x-image", temperature=heat)
            sampler = bh.HybridBatchSampler(pairs, 1, seed=seed, strategy=strategy)
            counts[heat][decode_batch(pairs, next(iter(sampler)))[0].query_language] += 1
    assert abs(counts[0.0]["en"] / 300 - 1 / 2) < 4 * math.sqrt(1 / 4 / 300)
    assert abs(counts[1.0]["en"] / 300 - 1 / 5) < 4 * math.sqrt(0.16 / 300)


def test_processes_share_a_kind(flag_pairs: ParallelPairs) -> None:
    sampler = bh.HybridBatchSampler(flag_pairs, 5, seed=4, strategy="hybrid-image", world_size=2)
    batches = list(sampler)
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        assert name_batch_kind(decode_batch(flag_pairs, first)) == name_batch_kind(
            decode_batch(flag_pairs, second)
        )
        groups = [row.group for row in decode_batch(flag_pairs, first + second)]
        assert len(set(groups)) == 10


def test_image_strategies_need_images() -> None:
    text = pairs_from_groups([{"query": {"de": "a"}, "positive": {"de": "b"}}])
    with pytest.raises(BadData, match="x-image draws images, and no group has one"):
        bh.HybridBatchSampler(text, 1, strategy="x-image")


def test_equal_images_never_share_a_batch_and_are_masked(tmp_path: Path) -> None:
    write_four_images(tmp_path)
    groups = [
        {"id": "a", "query": {"en": "red"}, "image": str(tmp_path / "a.png")},
        {"id": "b", "query": {"en": "blue"}, "image": str(tmp_path / "b.png")},
        {"id": "twin", "query": {"en": "crimson"}, "image": str(tmp_path / "twin.png")},
    ]
    pairs = pairs_from_groups(groups)
    for seed in range(10):
        for batch in bh.HybridBatchSampler(pairs, 2, seed=seed, strategy="x-image"):
            names = {
                pairs.data.table["id"][row.group].as_py() for row in decode_batch(pairs, batch)
            }
            assert names != {"a", "twin"}
    # A loss that sees them together all the same: s = 1 for a caption and its own image, or its
    # twin, and 0 for all others; at temperature 1.
    labels = torch.tensor([pairs[at]["label"] for at in range(3)])
    queries = torch.tensor([[1.0, 0], [0, 1.0], [1.0, 0]], dtype=torch.float64)
    loss = bh.HybridContrastiveLoss(None, temperature=1.0)
    masked = loss.compute_loss_from_embeddings([queries, queries.clone()], labels)
    e = math.e
    # a and twin: own image against blue; blue: against both.
    expected = (2 * math.log(1 + 1 / e) + math.log(1 + 2 / e)) / 3
    assert masked.item() == pytest.approx(expected, abs=1e-12)
    unmasked_loss = bh.HybridContrastiveLoss(None, temperature=1.0, mask=False)
    unmasked = (2 * math.log(2 + 1 / e) + math.log(1 + 2 / e)) / 3
    value = unmasked_loss.compute_loss_from_embeddings([queries, queries.clone()], labels)
    assert value.item() == pytest.approx(unmasked, abs=1e-12)
    symmetric_loss = bh.HybridContrastiveLoss(None, temperature=1.0, symmetric=True)
    value = symmetric_loss.compute_loss_from_embeddings([queries, queries.clone()], labels)
    assert value.item() == pytest.approx(expected, abs=1e-12)  # the matrix is symmetric


def test_other_captions_of_an_image_are_masked(tmp_path: Path) -> None:
    write_four_images(tmp_path)
    pairs = bh.pairs_from_collection(bh.load("jsonl-image-text", path=tmp_path))
    order = pairs.data.table["id"].to_pylist()
    de, en = 0, 1
    codes = [
        pairs.row_codes.encode(order.index("twin#0"), de, en),  # Rot wie Blut -> red or scarlet
        pairs.row_codes.encode(order.index("b#0"), de, en),  # Blau -> blue
        pairs.row_codes.encode(order.index("a#1"), en, de),  # scarlet -> Rot or Rot wie Blut
    ]
    rows = pairs.__getitems__([int(code) for code in codes])
    assert rows[0]["positive"] in ("red", "scarlet")
    assert (rows[1]["anchor"], rows[1]["positive"]) == ("Blau", "blue")
    labels = torch.tensor([row["label"] for row in rows])
    queries = torch.tensor([[1.0, 0], [0, 1.0], [1.0, 0]], dtype=torch.float64)
    loss = bh.HybridContrastiveLoss(None, temperature=0.5)
    value = loss.compute_loss_from_embeddings([queries, queries.clone()], labels)
    squared = math.exp(2)
    expected = (2 * math.log(1 + 1 / squared) + math.log(1 + 2 / squared)) / 3
    assert value.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_files_with_paths_of_images(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pics").mkdir()
    paint_image(tmp_path / "pics" / "a.png", "red", "blue")
    shutil.copy(tmp_path / "pics" / "a.png", tmp_path / "pics" / "twin.png")
    Image.new("P", (9, 9)).save(tmp_path / "pics" / "p.png")
    groups = [
        {"id": "1", "query": {"de": "Rot", "en": "red"}, "positive": {"de": "Rot", "en": "red"},
         "image": "pics/a.png"},
        {"id": "2", "query": {"de": "Dunkel", "en": None}, "positive": None,
         "image": "pics/p.png"},
        {"id": "3", "query": {"de": "Wo?", "en": None}, "positive": {"de": "Da", "en": None},
         "image": None},
        {"id": "4", "query": {"de": "Karmin", "en": None}, "positive": None,
         "image": "pics/twin.png"},
    ]  # fmt: skip
    file = tmp_path / f"groups.{kind}"

    def write() -> None:
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(groups), file)
        else:
            file.write_text("".join(json.dumps(group) + "\n" for group in groups), "utf-8")

    write()
    for _ in range(2):  # converted, and then from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            pairs = read_pairs(file)
        assert "1 images are equal to others under other names" in caplog.text
        assert "first in group '4'" in caplog.text
        assert "1 images are converted" in caplog.text
        assert pairs.languages == ("de", "en", "image")
        assert pairs.groups.has_passage[:, 2].tolist() == [True, True, False, True]
        assert pairs[0]["positive"].getpixel((3, 3)) == COLOURS["red"][2]
        assert pairs[2]["positive"] == "Da"
    # A changed image has another number: its text is that of its file.
    before = pairs.groups.gold_hashes[0, 2]
    paint_image(tmp_path / "pics" / "a.png", "green", "white")
    changed = read_pairs(file)
    assert changed.groups.gold_hashes[0, 2] != before
    assert changed[0]["positive"].getpixel((3, 3)) == COLOURS["green"][2]
    with pytest.raises(BadOption, match="texts or images in a column; these groups have both"):
        changed.select(range(4))
    unit = {"jsonl": "line", "parquet": "row"}[kind]
    (tmp_path / "pics" / "p.png").write_bytes(b"")
    with pytest.raises(BadData, match=rf"groups\.{kind} {unit} 2: .*p\.png.* empty"):
        read_pairs(file)
    (tmp_path / "pics" / "p.png").unlink()
    with pytest.raises(BadData, match=rf"groups\.{kind} {unit} 2: there is no image"):
        read_pairs(file)


def test_invalid_groups(tmp_path: Path) -> None:
    path = paint_image(tmp_path / "a.png", "red", "blue")
    with pytest.raises(BadData, match="group '0': image is 7; it must be the path of an image"):
        pairs_from_groups([{"query": {"de": "Rot"}, "image": 7}])
    with pytest.raises(BadData, match="group '0': there is no image"):
        pairs_from_groups([{"query": {"de": "Rot"}, "image": "rot.png"}])
    group = {"query": {"de": "Rot"}, "positive": {"de": "R"}, "negative": {"de": ["x"]}}
    with pytest.raises(BadData, match="has an image; hard negatives are texts"):
        pairs_from_groups([group | {"image": str(path)}], negatives=1)


def test_join_images_and_texts(tmp_path: Path) -> None:
    path = paint_image(tmp_path / "a.png", "red", "blue")
    image_pairs = pairs_from_groups([{"query": {"de": "Rot"}, "image": str(path)}], name="seen")
    texts = pairs_from_groups(
        [{"query": {"zu": "a"}, "positive": {"zu": "a", "de": "b"}}], name="texts"
    )
    joined_pairs = join_pairs([image_pairs, texts])
    assert joined_pairs.languages == ("de", "zu", "image")  # images are last
    assert joined_pairs.subset([0]).languages == joined_pairs.languages
    assert joined_pairs.subset([0])[0]["positive"].size == (32, 32)
    mono = bh.HybridBatchSampler(joined_pairs, 1, strategy="x-x-mono")
    # Texts that are their own passages stay as they were where no image is.
    assert [decode_batch(joined_pairs, batch)[0] for batch in mono] == [SampledRow(1, "zu", "zu")]


def test_code_switching_of_captions(tmp_path: Path) -> None:
    path = paint_image(tmp_path / "a.png", "red", "blue")
    pairs = pairs_from_groups([{"query": {"en": "red house"}, "image": str(path)}])
    switch = bh.code_switch(1.0, [{"en": "red", "de": "rot"}, {"en": "sha256", "de": "oh"}])
    strategy = bh.parse_strategy("x-image", code_switch=switch)
    sampler = bh.HybridBatchSampler(pairs, 1, strategy=strategy)
    (row,) = pairs.__getitems__(next(iter(sampler)))
    assert row["anchor"] == "rot house"
    assert row["positive"].getpixel((3, 3)) == COLOURS["red"][2]
    assert sampler.coverage == 0.5


def measure_hits(model: SentenceTransformer, collection: Collection) -> float:
    """Return how often the nearest image is a caption's own, by nothing but the model."""
    table = collection.passages.to_pylist()
    rows = [row for row in table if row["lang"] == "image"]
    images = model.encode([Image.open(row["image"]) for row in rows], normalize_embeddings=True)
    keys = [row["id"].partition(":")[2] for row in rows]
    captions = [row for row in collection.queries.to_pylist() if row["lang"] != "image"]
    queries = model.encode([row["text"] for row in captions], normalize_embeddings=True)
    nearest = (queries @ images.T).argmax(axis=1)
    is_own = [keys[at] == row["group"] for at, row in zip(nearest.tolist(), captions, strict=True)]
    return sum(is_own) / len(is_own)


def copy_weights(model: SentenceTransformer, part: str) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items() if part in name}


def test_training_improves_image_retrieval(
    tmp_path: Path, clip_folder: Path, flag_collection: Collection, flag_pairs: ParallelPairs
) -> None:
    before = measure_hits(SentenceTransformer(str(clip_folder), device="cpu"), flag_collection)
    model = bh.train(
        clip_folder,
        flag_pairs,
        tmp_path,
        strategy="x-image",
        loss={"symmetric": True},
        max_steps=60,
        **SMALL | {"per_device_train_batch_size": 30},
    )
    assert before < 0.05  # one of 60
    assert measure_hits(model, flag_collection) > 0.15
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["audit"]["batches"] == {"image": 60}
    assert sum(record["audit"]["rows"].values()) == 60 * 30
    assert set(record["audit"]["rows"]) == {"de-image", "en-image", "fr-image"}


def test_a_killed_training_resumes_with_the_same_batches(
    tmp_path: Path, clip_folder: Path, flag_pairs: ParallelPairs
) -> None:
    options = SMALL | {"max_steps": 12, "save_steps": 7, "save_strategy": "steps"}

    def run() -> tuple[str, torch.Tensor]:
        model = bh.train(clip_folder, flag_pairs, tmp_path, strategy="hybrid-image", **options)
        weights = torch.cat([weight.flatten() for weight in model.parameters()])
        return (tmp_path / "batches.jsonl").read_text(), weights

    batches, weights = run()
    kinds = Counter(kind for line in batches.splitlines() for kind in json.loads(line)["batches"])
    assert set(kinds) == {"image", "cross-rows"}
    simulate_kill(tmp_path, after=7)
    resumed_batches, resumed_weights = run()
    assert resumed_batches == batches
    assert torch.equal(weights, resumed_weights)


def test_a_frozen_vision_tower(
    tmp_path: Path, clip_folder: Path, flag_pairs: ParallelPairs
) -> None:
    start = SentenceTransformer(str(clip_folder), device="cpu")
    vision_weights, text_weights = (
        copy_weights(start, "vision_model."),
        copy_weights(start, "text_model."),
    )
    model = bh.train(
        start,
        flag_pairs,
        tmp_path,
        strategy="x-image",
        tuning={"freeze": "vision"},
        max_steps=3,
        **SMALL,
    )
    after, projected = (
        copy_weights(model, "vision_model."),
        copy_weights(model, "visual_projection."),
    )
    assert len(vision_weights) > 20
    assert all(torch.equal(after[name], weight) for name, weight in vision_weights.items())
    assert all(
        torch.equal(projected[name], weight)
        for name, weight in copy_weights(start, "visual_proj").items()
    )
    trained_text_weights = copy_weights(model, "text_model.")
    assert not all(
        torch.equal(trained_text_weights[name], weight) for name, weight in text_weights.items()
    )
    assert all(weight.requires_grad for weight in start.parameters())  # as it was before
    texts = pairs_from_groups(
        [{"query": {"de": f"w{n}"}, "positive": {"de": f"w{n}1"}} for n in range(6)]
    )
    options: dict[str, Any] = {
        "strategy": "x-x-mono",
        "tuning": {"freeze": "vision"},
        "max_steps": 1,
        **SMALL,
    }
    with pytest.raises(BadOption, match="freeze is 'vision'; none of the model's parameters"):
        bh.train(static_model(), texts, tmp_path / "no", **options)
    with pytest.raises(BadOption, match="no part to freeze 'visoin'; did you mean 'vision'"):
        bh.train(clip_folder, flag_pairs, tmp_path / "no", tuning={"freeze": "visoin"})


def test_lora_of_one_layer_of_the_text_tower(
    tmp_path: Path, clip_folder: Path, flag_pairs: ParallelPairs
) -> None:
    pytest.importorskip("peft")
    start = SentenceTransformer(str(clip_folder), device="cpu")
    model = bh.train(
        clip_folder, flag_pairs, tmp_path / "out", strategy="x-image", max_steps=3,
        tuning={"lora": {"layers": [0], "r": 2}}, **SMALL,
    )  # fmt: skip
    before, after = copy_weights(start, ""), copy_weights(model, "")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    attention = "text_model.encoder.layers.0.self_attn"
    assert {name.partition("text_model.")[1] for name in changed} == {"text_model."}
    assert {name.rpartition("self_attn.")[2] for name in changed} == {
        "q_proj.weight", "v_proj.weight",
    }  # fmt: skip
    assert all(attention in name for name in changed)
    with pytest.raises(BadOption, match="there is no layer 7; those of the text tower are 0, 1"):
        bh.train(
            clip_folder,
            flag_pairs,
            tmp_path / "no",
            strategy="x-image",
            tuning={"lora": {"layers": [7]}},
            **SMALL,
        )


def test_texts_are_padded_as_in_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paint_image(tmp_path / "w1.png", "red", "blue")
    captions = [f"w{n}" + " w9" * n for n in range(7)] + ["w1.png"]  # and that is a file, too
    images = [paint_image(tmp_path / f"{n}.png", one, "red") for n, one in enumerate(COLOURS)]
    pairs = pairs_from_groups(
        {"query": {"de": text}, "image": str(path)}
        for text, path in zip(captions, images, strict=True)
    )
    start = SentenceTransformer(str(tiny_siglip(tmp_path / "siglip")), device="cpu")
    ids = start.tokenizer(
        captions, padding="max_length", max_length=16,
        return_tensors="pt",
    )["input_ids"]  # fmt: skip
    body: Any = start.transformers_model
    with torch.inference_mode():
        text_vectors = body.get_text_features(ids).pooler_output
    text_vectors = torch.nn.functional.normalize(text_vectors)
    image_vectors = torch.as_tensor(start.encode([Image.open(path) for path in images],
                                        normalize_embeddings=True))  # fmt: skip
    scores = text_vectors @ image_vectors.T / 0.05
    expected = (torch.logsumexp(scores, dim=1) - scores.diag()).mean().item()
    options = SMALL | {"per_device_train_batch_size": 8, "max_steps": 1, "logging_steps": 1}
    bh.train(start, pairs, tmp_path / "out", strategy="x-image",
             **options | {"save_strategy": "steps", "save_steps": 1},
             save_total_limit=1)  # fmt: skip
    state = tmp_path / "out" / "checkpoints" / "checkpoint-1" / "trainer_state.json"
    assert json.loads(state.read_text())["log_history"][0]["loss"] == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize("kind", ["clip", "siglip", "joined"])
def test_towers_of_each_architecture(tmp_path: Path, clip_folder: Path, kind: str) -> None:
    if kind == "joined":
        transformer_model(tmp_path / "bert")
        model = bh.from_vision_text(tmp_path / "bert", clip_folder, device="cpu")
    else:
        path = clip_folder if kind == "clip" else tiny_siglip(tmp_path / "siglip")
        model = SentenceTransformer(str(path), device="cpu")
    body: Any = model.transformers_model
    tower = [body.vision_model] + ([] if kind == "siglip" else [body.visual_projection])
    vision_weights = {id(weight) for part in tower for weight in part.parameters()}
    with freeze_part(model, "vision"):
        frozen_weights = {id(weight) for weight in model.parameters() if not weight.requires_grad}
        assert frozen_weights == vision_weights
    assert all(weight.requires_grad for weight in model.parameters())
    layer, names = "encoder.layers.0.self_attn", ("q_proj", "v_proj")
    if kind == "joined":  # with a BERT
        layer, names = "encoder.layer.0.attention.self", ("query", "value")
    expected = {f"text_model.{layer}.{name}" for name in names}
    pattern = match_attention_layers(model, [0])
    matched_names = {name for name, _ in body.named_modules() if re.fullmatch(pattern, name)}
    assert matched_names == expected
    all_pattern = match_attention_layers(model, "all")
    all_names = {name for name, _ in body.named_modules() if re.fullmatch(all_pattern, name)}
    assert {name for name in all_names if ".0." in name} == expected
    assert all(name.startswith("text_model.") for name in all_names)
    for layers, message in (([], "there are no layers"), ("early", "a list of numbers, or 'all'")):
        with pytest.raises(BadOption, match=message):
            match_attention_layers(model, layers)


@pytest.fixture(scope="module")
def adapter_folders(
    tmp_path_factory: pytest.TempPathFactory, clip_folder: Path, flag_pairs: ParallelPairs
) -> dict[str, Path]:
    pytest.importorskip("peft")
    return bh.train_adapters(
        clip_folder,
        flag_pairs,
        tmp_path_factory.mktemp("adapters"),
        languages=["de", "fr"],
        max_steps=3,
        tuning={"lora": {"r": 4}},
        **SMALL | {"learning_rate": 0.05},
    )


def test_an_adapter_for_each_language(
    clip_folder: Path,
    flag_collection: Collection,
    flag_pairs: ParallelPairs,
    adapter_folders: dict[str, Path],
) -> None:
    assert sorted(adapter_folders) == ["de", "fr"]
    for lang, folder in adapter_folders.items():
        record = json.loads((folder.parent / "training.json").read_text())
        assert set(record["audit"]["rows"]) == {f"{lang}-image"}
    base = bh.SentenceTransformerEncoder(clip_folder)
    encoder = bh.LanguageAdapters(clip_folder, adapter_folders, flag_collection)
    texts = {lang: flag_pairs.data.table[f"query.{lang}"].to_pylist()[:5] for lang in LANGS}
    plain = {lang: base.encode_queries(lang_texts) for lang, lang_texts in texts.items()}
    vectors = encoder.encode_queries([*texts["de"], *texts["en"], *texts["fr"], "unheard of"])
    # English has no adapter, whichever was at work before it.
    plain_vectors = base.encode_queries([*texts["en"], "unheard of"])
    np.testing.assert_array_equal(vectors[[*range(5, 10), 15]], plain_vectors)
    encoder.encode_in("fr", texts["fr"], "queries")
    np.testing.assert_array_equal(encoder.encode_queries(texts["en"]), plain["en"])
    # The others are as the model that the adapter was merged into has them.
    for at, lang in ((0, "de"), (10, "fr")):
        merged_model = bh.SentenceTransformerEncoder(adapter_folders[lang].parent / "model")
        np.testing.assert_allclose(vectors[at : at + 5], merged_model.encode_queries(texts[lang]),
                                   atol=1e-5)  # fmt: skip
        assert np.abs(vectors[at : at + 5] - plain[lang]).max() > 1e-3
        np.testing.assert_allclose(encoder.encode_in(lang, texts[lang], "passages"),
                                   vectors[at : at + 5], atol=1e-6)  # fmt: skip
    image = Image.open(flag_pairs.data.table["path.image"][0].as_py())
    np.testing.assert_array_equal(encoder.encode_images([image]), base.encode_images([image]))
    assert encoder.fingerprint != base.fingerprint
    assert json.loads(json.dumps(encoder.fingerprint)) == encoder.fingerprint


def test_texts_of_two_languages_have_no_adapter(
    tmp_path: Path,
    clip_folder: Path,
    adapter_folders: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    paint_image(tmp_path / "a.png", "red", "blue")
    row = {"id": "a", "image": "a.png", "captions": {"de": ["rose", "rot"], "fr": ["rose"]}}
    (tmp_path / "captions.jsonl").write_text(json.dumps(row), "utf-8")
    collection = bh.load("jsonl-image-text", path=tmp_path)
    with caplog.at_level(logging.WARNING):
        encoder = bh.LanguageAdapters(clip_folder, adapter_folders, collection)
    assert "1 texts are in several languages, and are encoded without an adapter" in caplog.text
    assert encoder.languages == {"rot": "de"}
    base = bh.SentenceTransformerEncoder(clip_folder)
    np.testing.assert_array_equal(encoder.encode_queries(["rose"]), base.encode_queries(["rose"]))
    with pytest.raises(BadData, match="has no adapter"):
        bh.LanguageAdapters(clip_folder, {"de": tmp_path}, collection)


class TableEncoder:
    """An encoder of unit rows, by name."""

    def __init__(self, rows: dict[str, list[float]]) -> None:
        self.fingerprint = {"kind": "table", "rows": rows}
        self.rows = {name: np.array(row) / np.linalg.norm(row) for name, row in rows.items()}

    def encode_queries(self, texts: Any) -> np.ndarray:
        return np.array([self.rows[text] for text in texts], np.float32)

    encode_passages = encode_queries


def test_tip_cache_scores_equal_the_formula() -> None:
    draw = np.random.default_rng(5)
    names = [f"t{n}" for n in range(11)]
    base = TableEncoder({name: draw.normal(size=4).tolist() for name in names})
    keys, values = base.encode_queries(names[:3]), base.encode_queries(names[3:6])
    cache = bh.TipCache(base, keys, values, alpha=0.7, beta=2.0)
    queries, passages = names[6:8], names[8:]
    scores = cache.encode_queries(queries) @ cache.encode_passages(passages).T
    for i, query in enumerate(queries):
        for j, document in enumerate(passages):
            q, d = base.rows[query], base.rows[document]
            score = float(q @ d)
            for k, v in zip(names[:3], names[3:6], strict=True):
                near = math.exp(-2.0 * (1 - float(q @ base.rows[k])))
                score += 0.7 * near * float(base.rows[v] @ d)
            assert scores[i, j] == pytest.approx(score, abs=1e-5)
    plain_cache = bh.TipCache(base, keys, values, alpha=0.0)
    np.testing.assert_array_equal(plain_cache.encode_queries(queries), base.encode_queries(queries))
    # One text in two roles has two rows: the store must not take one for the other.
    assert "prompts" not in cache.fingerprint
    other_cache = bh.TipCache(base, keys, values, alpha=0.7, beta=3.0)
    assert other_cache.fingerprint != cache.fingerprint
    with pytest.raises(BadOption, match="keys of a cache have unit length; row 0 has 2"):
        bh.TipCache(base, 2 * keys, values)
    with pytest.raises(BadOption, match="a row of each"):
        bh.TipCache(base, keys, values[:2])


def test_tip_cache_from_pairs(clip_folder: Path, flag_pairs: ParallelPairs) -> None:
    base = bh.SentenceTransformerEncoder(clip_folder, normalize=True)
    two_pairs = flag_pairs.subset([0, 5])
    cache = bh.TipCache.from_pairs(base, two_pairs, alpha=1.0, beta=1.0)
    assert cache.keys.shape == (6, 16)  # two images, three languages
    table = two_pairs.data.table
    captions = [table[f"query.{lang}"][at].as_py() for lang in LANGS for at in range(2)]
    images = [Image.open(path) for path in table["path.image"].to_pylist()]
    np.testing.assert_allclose(cache.keys, base.encode_queries(captions), atol=1e-5)
    image_vectors = base.encode_images(images)
    np.testing.assert_allclose(cache.values, np.concatenate([image_vectors] * 3), atol=1e-5)
    np.testing.assert_array_equal(cache.encode_images(images), image_vectors)


def test_ablate_image_strategies(
    tmp_path: Path, clip_folder: Path, flag_collection: Collection, flag_pairs: ParallelPairs
) -> None:
    trials = bh.ablate(
        clip_folder,
        flag_pairs,
        tmp_path,
        strategies=["x-image", "x-y", "hybrid-image"],
        test=flag_collection,
        max_steps=2,
        seeds=[1],
        tuning={"freeze": "vision"},
        measures=["R@1"],
        **SMALL,
    )
    assert [trial.strategy for trial in trials] == ["x-image", "x-y", "hybrid-image"]
    for trial in trials:
        kinds = trial.results.summary()
        assert "text-image" in kinds
        model = SentenceTransformer(str(tmp_path / "runs" / f"{trial.strategy}-1" / "model"))
        (mean,) = kinds["text-image"].values()
        assert mean.mean == pytest.approx(measure_hits(model, flag_collection), abs=1e-9)


def test_two_processes_train_the_same_weights_as_one(
    tmp_path: Path, clip_folder: Path, flag_pairs: ParallelPairs
) -> None:
    rows = Path(flag_pairs.data.table["path.image"][0].as_py()).parent
    words = [
        "--strategy", "hybrid-image", "--max-steps", "4", "--learning-rate", "0.001", "--seed",
        "1", "--gather", "--per-device-train-batch-size", "3", "--use-cpu", "--report-to", "none",
    ]  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m",
               "beir_hybrid", "train", str(clip_folder), "--train", str(rows), "--output",
               str(tmp_path / "two"), *words]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    options = SMALL | {"learning_rate": 0.001}
    model_of_one = bh.train(
        clip_folder,
        flag_pairs,
        tmp_path / "one",
        strategy="hybrid-image",
        max_steps=4,
        seed=1,
        **options,
    )
    record = json.loads((tmp_path / "one" / "training.json").read_text())
    assert set(record["audit"]["batches"]) == {"image", "cross-rows"}
    model_of_two = SentenceTransformer(str(tmp_path / "two" / "model"), device="cpu")
    start_model = SentenceTransformer(str(clip_folder), device="cpu")
    before, after, weights_of_two = (
        copy_weights(model, "") for model in (start_model, model_of_one, model_of_two)
    )
    assert max((after[name] - before[name]).abs().max().item() for name in before) > 1e-3
    for name, expected in after.items():
        torch.testing.assert_close(weights_of_two[name], expected, rtol=0, atol=2e-4, msg=name)
