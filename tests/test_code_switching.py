"""Code switching: words of the lexicon are replaced, as often as the probability says."""

import json
from collections import Counter
from pathlib import Path

import pytest
from scipy.stats import binomtest, chisquare

from beir_hybrid.batches.sampler import HybridBatchSampler
from beir_hybrid.batches.strategies import parse_strategy
from beir_hybrid.errors import BadData, BadOption
from beir_hybrid.pairs.code_switching import Entry, Lexicon, code_switch
from beir_hybrid.pairs.reading import pairs_from_groups

ENTRIES: list[Entry] = [
    {"de": "Haus", "en": "house", "zh": "房子", "th": "บ้าน", "hi": "घर"},
    {"de": "Katze", "en": ["cat", "kitty"]},
    {"de": "Südafrika", "en": "South Africa"},
    {"de": "Afrika", "en": "Africa"},
    {"de": "Straße", "en": "street"},
]


@pytest.mark.parametrize(
    ("text", "lang", "switched"),
    [
        ("Wo ist die Katze? DIE KATZE!", "de", {"Wo ist die cat? DIE cat!",
            "Wo ist die kitty? DIE kitty!", "Wo ist die cat? DIE kitty!",
            "Wo ist die kitty? DIE cat!"}),
        ("South Africa, in Africa", "en", {"Südafrika, in Afrika"}),  # the longest first
        ("Southern Africans", "en", {"Southern Africans"}),  # whole words alone
        ("Hausboot", "de", {"Hausboot"}),
        ("", "de", {""}),
        ("我的房子很大", "zh", {f"我的{w}很大" for w in ("Haus", "house", "บ้าน", "घर")}),
        ("บ้านของฉัน", "th", {f"{w}ของฉัน" for w in ("Haus", "house", "房子", "घर")}),
        ("मेरा घर", "hi", {f"मेरा {w}" for w in ("Haus", "house", "房子", "บ้าน")}),
        ("STRASSE, strasse", "de", {"street, street"}),  # whatever the case
        ("casa", "es", {"casa"}),  # a language that the lexicon has not
    ],
)  # fmt: skip
def test_words_of_the_lexicon_are_replaced(text: str, lang: str, switched: set[str]) -> None:
    switch = code_switch(1.0, ENTRIES)
    assert {switch(text, lang, seed) for seed in range(200)} == switched
    assert {code_switch(0.0, ENTRIES)(text, lang, seed) for seed in range(20)} == {text}


def test_probability_and_languages_of_translations() -> None:
    switch = code_switch(0.3, ENTRIES)
    words = [switch("Haus", "de", seed) for seed in range(4000)]
    assert words == [switch("Haus", "de", seed) for seed in range(4000)]
    counts = Counter(words)
    n_unchanged = counts.pop("Haus")
    assert binomtest(4000 - n_unchanged, 4000, 0.3).pvalue > 0.001
    assert set(counts) == {"house", "房子", "บ้าน", "घर"}
    assert chisquare(list(counts.values())).pvalue > 0.001
    # Of a language with two words, each as often as the other: the language is drawn first.
    forms = Counter(code_switch(1.0, ENTRIES)("Katze", "de", seed) for seed in range(2000))
    assert chisquare([forms["cat"], forms["kitty"]]).pvalue > 0.001


def test_coverage_is_the_share_of_words() -> None:
    lexicon = Lexicon(ENTRIES)
    # Two of four words; a phrase is one.
    switch = code_switch(0.5, lexicon)
    assert switch.measure_coverage([("The cat of South Africa", "en")]) == 2 / 4
    assert switch.measure_coverage([("房子大", "zh"), ("nichts", "de")]) == 1 / 3
    assert switch.measure_coverage([]) == 0


def test_reading_a_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES), "utf-8")
    assert code_switch(1.0, path)("Afrika", "de", 0) == "Africa"
    path.write_text('{"de": 3}\n')
    with pytest.raises(BadData, match=r"words.jsonl, entry 1: 'de' has 3, no words"):
        code_switch(1.0, path)
    path.write_text("")
    with pytest.raises(BadData, match="has no entries"):
        code_switch(1.0, path)


def test_bad_options() -> None:
    with pytest.raises(BadOption, match=r"probability is 1.5"):
        code_switch(1.5, ENTRIES)
    with pytest.raises(BadOption, match="not on 'answers'"):
        code_switch(0.5, ENTRIES, on="answers")  # type: ignore[arg-type]


GROUPS = [
    {
        "id": str(i),
        "query": {"de": f"Haus Frage {i}", "en": f"house question {i}"},
        "positive": {"de": f"Haus Antwort {i}", "en": f"house answer {i}"},
        "negative": {"de": [f"Haus falsch {i}"], "en": [f"house wrong {i}"]},
    }
    for i in range(40)
]
WORDS = [{"de": "Haus", "en": "house", "zh": "房子"}]


def test_a_sampler_switches_its_rows_and_no_others() -> None:
    pairs = pairs_from_groups(GROUPS, negatives=1)
    plain = HybridBatchSampler(pairs, 8, seed=1, strategy="hybrid")
    rows_by_side = {}
    for on in ("queries", "passages", "both"):
        switch = code_switch(1.0, WORDS, on=on)
        sampler = HybridBatchSampler(
            pairs, 8, seed=1, strategy=parse_strategy("hybrid", code_switch=switch)
        )
        assert sampler.coverage == 1 / 3
        assert sampler.audit().coverage == 1 / 3
        rows_by_side[on] = [row for batch in sampler for row in pairs.__getitems__(batch)]
        # The same groups in the same languages as without switching.
        assert [pairs.decode_row(code) for batch in sampler for code in batch] == [
            pairs.decode_row(code) for batch in plain for code in batch
        ]
    originals = [row for batch in plain for row in pairs.__getitems__(batch)]
    for i, row in enumerate(originals):
        assert row["anchor"].split()[0] in ("Haus", "house")
        assert rows_by_side["queries"][i] | {"anchor": row["anchor"]} == row
        assert rows_by_side["passages"][i]["anchor"] == row["anchor"]
        for name in ("anchor", "positive", "negative_1"):
            words = rows_by_side["both"][i][name].split()
            assert words[0] in {"Haus", "house", "房子"} - {row[name].split()[0]}
            assert words[1:] == row[name].split()[1:]
        # Numbers are those of the texts themselves: what masks a passage masks it switched.
        assert rows_by_side["both"][i]["label"] == row["label"]


def test_rows_are_switched_anew_in_each_epoch_and_alike_from_the_start() -> None:
    strategy = parse_strategy("x-x-mono", code_switch=code_switch(0.5, WORDS))

    def draw_epochs() -> list[list[str]]:
        pairs = pairs_from_groups(GROUPS)
        sampler = HybridBatchSampler(pairs, 8, seed=3, strategy=strategy)
        anchors = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            rows = [row for batch in sampler for row in pairs.__getitems__(batch)]
            anchors.append(sorted(row["anchor"] for row in rows))
        return anchors

    first, second = draw_epochs()
    assert first != second
    assert draw_epochs() == [first, second]


def test_one_set_of_pairs_under_many_switches() -> None:
    pairs = pairs_from_groups(GROUPS)
    # A switch for each of 255 words that are the translation: rows are of the sampler's own.
    for i in range(255):
        switch = code_switch(1.0, [{"de": "Haus", "en": f"house{i}"}], on="queries")
        strategy = parse_strategy("x-x-mono", code_switch=switch)
        if i not in (0, 7, 254):
            assert pairs.register_variant(switch, 0) > 0
            continue
        batches = list(HybridBatchSampler(pairs, 8, strategy=strategy))
        rows = [row for batch in batches for row in pairs.__getitems__(batch)]
        german = [row["anchor"].split()[0] for row in rows if "Frage" in row["anchor"]]
        assert set(german) == {f"house{i}"}
    with pytest.raises(BadOption, match="switched in 255 ways at most"):
        pairs.register_variant(code_switch(1.0, WORDS), 0)


def test_a_lexicon_that_matches_nothing_is_an_error() -> None:
    switch = code_switch(0.5, [{"fr": "maison", "es": "casa"}])
    with pytest.raises(BadData, match="has words in es, fr, and the groups are in de, en"):
        HybridBatchSampler(
            pairs_from_groups(GROUPS), 8, strategy=parse_strategy("hybrid", code_switch=switch)
        )
