"""The options of the commands that train in; pairs, a strategy and options of `train` out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beir_hybrid.cli.shared import load, split
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.pairs.parallel_pairs import ParallelPairs


def needed(given: Mapping[str, Any], *names: str) -> None:
    """Raise `BadOption` for an option that is not given, and is needed."""
    if str(given["model"]).startswith("-"):  # an option of the trainer's, which click knows not
        raise BadOption(f"MODEL comes before options such as {given['model']}")
    for name in names:
        if not given[name]:
            raise BadOption(f"{'MODEL' if name == 'model' else f'--{name}'} is needed")


def collection_of(name: str, languages: str | None, offline: bool) -> "Collection":
    """Load a dataset by name, or a file of one's own."""
    from beir_hybrid.sources import datasets

    if name not in datasets() and Path(name).is_file():
        if languages:
            raise BadOption(f"{name} is judged on in all its languages")
        return load("jsonl", None, [f"path={name}"], offline)
    if _holds_pictures(name):
        return load("jsonl-image-text", split(languages), [f"path={name}"], offline)
    return load(name, split(languages), None, offline)


def pairs_of(given: Mapping[str, Any]) -> "list[ParallelPairs]":
    """Read what is trained on: datasets by name, files and datasets of the hub, parallel lines."""
    from beir_hybrid.pairs.reading import read_bitext
    from beir_hybrid.sources import datasets

    names, lines = given["train"] or [], given["bitext"] or []
    if not names and not lines:
        raise BadOption("--train is needed, or --bitext")
    known = sum(name in datasets() for name in names)
    for option, needless in (
        ("negatives", known == len(names)),
        ("language", known == len(names)),
        ("option", not known),
    ):
        if given[option] and needless:
            raise BadOption(f"--{option} changes nothing of {', '.join([*names, *lines])}")
    langs = split(given["languages"])
    return [
        *(_pairs(name, langs, given) for name in names),
        *(read_bitext(_files(one), languages=langs) for one in lines),
    ]


def _pairs(name: str, langs: list[str] | None, given: Mapping[str, Any]) -> "ParallelPairs":
    from beir_hybrid.pairs.reading import pairs_from_collection, read_pairs
    from beir_hybrid.sources import datasets

    if name in datasets():
        return pairs_from_collection(load(name, langs, given["option"], given["offline"]))
    if _holds_pictures(name):
        if given["negatives"]:
            raise BadOption("--negatives: pictures have no hard negatives")
        folder = [f"path={name}"]
        return pairs_from_collection(load("jsonl-image-text", langs, folder, given["offline"]))
    negatives, language = given["negatives"], given["language"]
    return read_pairs(name, negatives=negatives, language=language, languages=langs)


def _holds_pictures(name: str) -> bool:
    from beir_hybrid.sources.image_folder import CAPTIONS

    return (Path(name) / CAPTIONS).is_file()


def _files(written: str) -> dict[str, str]:
    """Read ``LANG=FILE,LANG=FILE``."""
    parts = [part.partition("=") for part in written.split(",")]
    found = {lang.strip(): file for lang, _, file in parts}
    if len(found) < max(len(parts), 2) or not all(map(all, parts)):
        raise BadOption(f"--bitext takes LANG=FILE,LANG=FILE of two languages, not {written!r}")
    return found


def strategy_of(name: str, given: Mapping[str, Any]) -> Any:
    """Return a strategy with what switches words of its texts."""
    from beir_hybrid.batches.strategies import parse_strategy

    return parse_strategy(name, code_switch=switch_of(given))


def switch_of(given: Mapping[str, Any]) -> Any:
    """Return what switches words of texts, if anything does."""
    from beir_hybrid.pairs.code_switching import code_switch

    if (given["switch"] is None) != (given["lexicon"] is None):
        raise BadOption("--switch and --lexicon go together")
    if given["switch"] is None:
        if given["switch_on"]:
            raise BadOption("--switch-on goes with --switch and --lexicon")
        return None
    return code_switch(given["switch"], given["lexicon"], given["switch_on"] or "both")


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the function `train`."""
    loss = ("temperature", "symmetric", "consistency", "mask", "mini_batch_size")
    encoder = ("max_length", "preset", "query_prompt", "passage_prompt", "revision")
    kept = {name: given[name] for name in encoder if given[name] is not None}
    from beir_hybrid.training.dev_set import DevSet

    dev: DevSet | None = None
    if (data := _dev(given)) is not None:
        dev = DevSet(data, primary=given["primary"], patience=given["patience"])
    return {
        "loss": {name: given[name] for name in loss} | {"gather_across_devices": given["gather"]},
        "encoder": kept | ({"trust_remote_code": True} if given["trust_remote_code"] else {}),
        "dev": dev,
        "tuning": {
            "lora": _values(given["lora"]) if given["lora"] else None,
            "freeze": given["freeze"],
        },
    }


def _dev(given: Mapping[str, Any]) -> "Collection | ParallelPairs | None":
    """Return what to choose a checkpoint by."""
    dev, pairs, langs = given["dev"], given["dev_pairs"], given["dev_languages"]
    if dev and pairs:
        raise BadOption("--dev and --dev-pairs both choose the best checkpoint; leave one")
    if langs and not (dev or pairs):
        raise BadOption("--dev-languages goes with --dev or --dev-pairs")
    if pairs:
        return _pairs(pairs, split(langs), {**given, "option": None})
    return collection_of(dev, langs, given["offline"]) if dev else None


def _values(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE``, with YAML's numbers and lists as values."""
    import yaml

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadOption(f"--lora takes KEY=VALUE, not {pair!r}")
        found[key] = yaml.safe_load(value)
    return found
