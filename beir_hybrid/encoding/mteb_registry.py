"""Models of mteb's registry by name, ``mteb:NAME``, with the prompts and settings that mteb has."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from beir_hybrid.encoding.mteb_models import MtebEncoder
from beir_hybrid.encoding.options import EncoderOptions
from beir_hybrid.errors import BadData, BadOption, MissingExtra, UnknownName, find_reason
from beir_hybrid.hub import can_load_from_hub, find_offline_setting
from beir_hybrid.network import is_offline
from beir_hybrid.progress import hide_progress_bars

if TYPE_CHECKING:
    from mteb.models import ModelMeta

PREFIX = "mteb:"
_OPTIONS = frozenset({"normalize", "batch_size", "device", "revision", "trust_remote_code"})
# Loaders that run no code of a model unless they are told to; some others of mteb's always do.
_HUB_LOADER = "SentenceTransformerEncoderWrapper"  # loads the model's own name and revision
_PLAIN_LOADERS = frozenset((_HUB_LOADER, "InstructSentenceTransformerModel", "Model2VecModel"))


def load_mteb_encoder(name: str, **options: object) -> MtebEncoder:
    """Load a model by its name in mteb's registry, ``mteb:NAME``.

    Raises
    ------
    BeirHybridError
        For what `find_meta` refuses, and for files that cannot be loaded.
    """
    settings = EncoderOptions.parse(options)
    meta = find_meta(name, settings)
    try:
        with hide_progress_bars():
            model = meta.load_model(device=settings.device)
    except Exception as error:  # libraries raise anything on damaged or hostile files
        raise BadData(f"cannot load {name}: {find_reason(error)}") from error
    encoder = MtebEncoder(model, normalize=settings.normalize, batch_size=settings.batch_size)
    encoder.name, encoder.revision = name, meta.revision or ""
    return encoder


def find_meta(name: str, settings: EncoderOptions) -> "ModelMeta":
    """Look up a model, ``mteb:NAME``, in mteb's registry, and check the options for it.

    Raises
    ------
    MissingExtra
        If mteb is not installed.
    UnknownName
        If mteb's registry does not have it, or not in this revision.
    BadOption
        For options that do not apply, and for a model that is not dense, or whose code runs here
        only by consent.
    Unreachable
        If the hub may not be asked, and its cache does not have the model.
    """
    settings.check_applicable(_OPTIONS, f"{name}: mteb sets that")
    if is_offline():  # before the hub's client is imported, which reads this once
        os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import mteb
    except ImportError as error:
        raise MissingExtra(f"{name} is a model of mteb's: pip install 'mteb>=2.26'") from error
    try:
        meta = mteb.get_model_meta(name.removeprefix(PREFIX), settings.revision)
    except (KeyError, ValueError) as error:
        raise UnknownName(f"{name}: {error.args[0]}") from error
    _check_kind(name, meta)
    if not settings.trust_remote_code:
        _check_loader(name, meta)
    _check_cache(meta)
    return meta


def _check_cache(meta: "ModelMeta") -> None:
    """Raise `Unreachable` for a model that the hub's cache lacks, if the hub may not be asked.

    Other loaders may read another repository or revision than the registry names.
    """
    if getattr(meta.loader, "__name__", "") != _HUB_LOADER or Path(str(meta.name)).is_dir():
        return
    if find_offline_setting():
        can_load_from_hub(str(meta.name), meta.revision)


def _check_kind(name: str, meta: "ModelMeta") -> None:
    """Raise `BadOption` for a model that is not dense: mteb scores those by other classes."""
    if [*meta.model_type] != ["dense"]:
        raise BadOption(
            f"mteb says that {name} is {' and '.join(meta.model_type)}, and through mteb only "
            f"dense models are evaluated; name it {name.removeprefix(PREFIX)!r}, without {PREFIX}"
        )


def _check_loader(name: str, meta: "ModelMeta") -> None:
    """Raise `BadOption` if mteb may run code that comes with a model."""
    loader = getattr(meta.loader, "__name__", "")
    if loader not in _PLAIN_LOADERS or meta.loader_kwargs.get("trust_remote_code"):
        raise BadOption(
            f"mteb may run code that comes with {name}, by its {loader or 'loader'}; if you trust "
            "that code, say so with --trust-remote-code (trust_remote_code=True)"
        )
