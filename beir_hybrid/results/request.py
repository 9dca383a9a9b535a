"""The request of an evaluation: the names and options by which it can be made again."""

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from beir_hybrid.collection import Collection

GIVEN = "given"  # the entry of the timing that holds the request


def given(
    collection: Collection,
    model: Any = None,
    options: Mapping[str, Any] | None = None,
    **more: str | list[str],
) -> dict[str, Any]:
    """Return by which names model and data can be asked for again, as JSON can hold it.

    What was handed over as an object has none. Folders stand with their whole paths, so this goes
    where the machine does, with the timing: results themselves are the same wherever files lie.
    """
    known: dict[str, Any] = dict(more)
    model, options = getattr(model, "asked", None) or (model, options)
    if collection.loaded:
        own = {name: collection.options.get(name, value)
               for name, value in collection.loaded["options"].items()}  # fmt: skip
        known["dataset"] = collection.loaded | {
            "options": {name: _text(value) for name, value in own.items() if value is not None}
        }
    if isinstance(model, str | Path):
        known["model"], known["hub"] = placed(model), not Path(model).is_dir()
        wanted = (options or {}).items()
        known["options"] = {name: _plain(value) for name, value in wanted if value is not None}
    return known


def placed(model: str | Path) -> str:
    """Return a folder's whole path, and a name on the hub as it is."""
    return str(Path(model).resolve()) if Path(model).is_dir() else str(model)


def _plain(value: Any) -> str | int | bool:
    if isinstance(value, str | bool):
        return value
    return int(value) if isinstance(value, Integral) else str(value)


def _text(value: Any) -> str:
    """Return an option of a dataset as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple | list) else str(value)
