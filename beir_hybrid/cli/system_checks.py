"""Checks of the systems that ``evaluate`` names: what fails for sure fails before all work."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from beir_hybrid.cli.options import check_model
from beir_hybrid.cli.printing import echo
from beir_hybrid.encoding.options import EncoderOptions, list_loading_options
from beir_hybrid.errors import BadData, BadOption, BeirHybridError, UnknownName
from beir_hybrid.network import is_offline

BM25 = "bm25"  # in the place of a model
BM25_OPTIONS = ("settings", "depth", "runs")  # of a ranking


def check_models(models: Sequence[str]) -> None:
    """Raise an error for a name of no model, or of a measure, and for a model named twice."""
    names: dict[str, str] = {}
    for model in models:
        if model == BM25:
            _announce_folder()
        else:
            _check_no_measure(model)
            check_model(model)
        is_folder = model != BM25 and Path(model).is_dir()
        key = str(Path(model).resolve()) if is_folder else model.rstrip("/")
        if key in names:
            pair = "" if names[key] == model else f", as {names[key]} too"
            raise BadOption(f"{model} is named twice{pair}; name it once")
        names[key] = model


def _check_no_measure(name: str) -> None:
    """Raise an error for a measure in the place of a model."""
    from beir_hybrid.measures.parsing import parse_measures

    if "/" in name or Path(name).exists():
        return
    try:
        parse_measures(name)
    except BeirHybridError:
        return
    raise BadOption(f"{name} is a measure, and no folder: --measures takes several as 'AP R@10'")


def _announce_folder() -> None:
    """Say that `BM25` is no folder, if there is a model in a folder of this name."""
    try:
        check_model(f"./{BM25}")
    except (BadData, UnknownName):
        return
    echo(f"{BM25} is Lucene's BM25; the model in the folder of this name is ./{BM25}", err=True)


def describe_unloaded(
    model: str, options: Mapping[str, object], *, is_calibrated: bool
) -> tuple[str, Mapping[str, object]]:
    """Return a model's name and what is known of its fingerprint before it is loaded.

    No weights are read, and no network is asked: names on the hub are taken as they are, unless
    the hub's cache has to have them.

    Parameters
    ----------
    options
        Fields of `EncoderOptions`.

    Raises
    ------
    BeirHybridError
        If the model cannot be evaluated with these options.
    """
    from beir_hybrid.encoding.endpoint import PREFIX as ENDPOINT
    from beir_hybrid.encoding.models import as_encoder
    from beir_hybrid.encoding.mteb_registry import PREFIX as MTEB
    from beir_hybrid.encoding.mteb_registry import find_meta
    from beir_hybrid.evaluation.vectors import shorten_name
    from beir_hybrid.hub import find_offline_setting

    if is_offline():  # before the hub's client is imported, which reads this once
        os.environ["HF_HUB_OFFLINE"] = "1"
    if model.startswith(ENDPOINT):
        encoder = as_encoder(model, **options)
        return encoder.name, encoder.fingerprint
    if model.startswith(MTEB):
        find_meta(model, EncoderOptions.parse(options))
        return model, {"kind": "mteb"}
    if ":" in model and not Path(model).is_dir():
        raise UnknownName(
            f"there is no folder {model!r}, and names with a colon begin with {ENDPOINT} or {MTEB}"
        )
    if Path(model).is_dir() or find_offline_setting():
        kind = _check_files(model, options, is_calibrated=is_calibrated)
        return shorten_name(model), {"kind": kind}
    return model, {}


def _check_files(model: str, options: Mapping[str, object], *, is_calibrated: bool) -> str:
    """Return the kind of a model on this machine; raise an error for options it does not read."""
    from beir_hybrid.encoding.families import check_family
    from beir_hybrid.encoding.model_encoder import ModelEncoder
    from beir_hybrid.encoding.models import ENCODERS

    settings = EncoderOptions.parse(options)
    files = ModelEncoder.locate(model, settings)
    family = check_family(files, tuple(ENCODERS)) or "dense"
    readable = ENCODERS[family].OPTIONS | list_loading_options()
    settings.check_applicable(readable, f"{model}, a {family} model")
    if is_calibrated and family != "dense":
        raise BadOption(
            f"a calibration corrects dense vectors, and {model} is no dense model: leave the "
            "calibration out"
        )
    return ENCODERS[family].KIND
