"""Commands whose parameters are dataclasses of options, so that each option is declared once."""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from typer.models import OptionInfo

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Group:
    """How a command shows the options of a dataclass, as an annotation of its parameter.

    Attributes
    ----------
    panel
        The heading above the options in the help.
    without
        Fields that the command has no options for; they keep their defaults.
    """

    panel: str | None = None
    without: tuple[str, ...] = ()


def flatten_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that typer gives an option for each field of its dataclass parameters.

    A field is annotated as typer's own parameters are, ``Annotated[int, typer.Option(...)]``, or
    has its ``help`` in its metadata; its name and default are the option's. A field may be a
    dataclass of options too. A parameter may be annotated with a `Group`. The command itself is
    called with the dataclasses.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        kind, group = _find_dataclass(parameter.annotation)
        if kind is None:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            parameters += _list_parameters(kind, group)

    @wraps(command)
    def run(**values: object) -> None:
        for parameter in signature.parameters.values():
            kind, group = _find_dataclass(parameter.annotation)
            if kind is not None:
                values[parameter.name] = _fill(kind, group, values)
        command(**values)

    flat: Any = run  # functions have no such attribute for mypy
    flat.__signature__ = signature.replace(parameters=parameters)
    flat.__annotations__ = {}  # typer would resolve the dataclasses' names
    return run


def _list_parameters(kind: "type[DataclassInstance]", group: Group) -> Iterator[inspect.Parameter]:
    """Yield a parameter for each field of a dataclass, and of dataclasses among its fields."""
    hints = get_type_hints(kind, include_extras=True)
    for option in _list_fields(kind, group):
        inner, inner_group = _find_dataclass(hints[option.name])
        if inner is not None:
            yield from _list_parameters(inner, inner_group)
            continue
        yield inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if option.default is MISSING else option.default,
            annotation=_annotate(option, hints[option.name], group.panel),
        )


def _fill(kind: "type[DataclassInstance]", group: Group, values: dict[str, object]) -> object:
    """Make a dataclass of a command's values, which are removed."""
    hints = get_type_hints(kind, include_extras=True)
    arguments = {}
    for option in _list_fields(kind, group):
        inner, inner_group = _find_dataclass(hints[option.name])
        if inner is None:
            arguments[option.name] = values.pop(option.name)
        else:
            arguments[option.name] = _fill(inner, inner_group, values)
    return kind(**arguments)


def _list_fields(kind: "type[DataclassInstance]", group: Group) -> list["Field[Any]"]:
    return [option for option in fields(kind) if option.name not in group.without]


def _find_dataclass(annotation: object) -> "tuple[type[DataclassInstance] | None, Group]":
    """Return the dataclass of an annotation, if there is one, and its group."""
    kind, *extras = get_args(annotation) if get_origin(annotation) is Annotated else [annotation]
    group = next((extra for extra in extras if isinstance(extra, Group)), Group())
    return (kind if isinstance(kind, type) and is_dataclass(kind) else None), group


def _annotate(option: "Field[object]", annotation: object, panel: str | None) -> Any:
    """Return a field's annotation for typer."""
    kind, *extras = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    infos = [copy(extra) for extra in extras if isinstance(extra, OptionInfo)]
    if not infos:
        # A switch that is off by default needs no --no-NAME.
        names = [f"--{option.name.replace('_', '-')}"] if option.default is False else []
        infos = [typer.Option(*names, help=option.metadata["help"])]
    for info in infos:
        info.rich_help_panel = info.rich_help_panel or panel
    return Annotated[_replace_literals(kind), infos[0]]


def _replace_literals(kind: object) -> Any:
    """Replace types of certain texts by `str`, which typer knows in all versions."""
    if get_origin(kind) is Literal:
        return str
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(map(_replace_literals, get_args(kind)))]  # noqa: UP007 - of a tuple
    return kind


def list_changes(options: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass whose values are not the defaults."""
    return {
        option.name: value
        for option in fields(options)
        if (value := getattr(options, option.name)) != option.default
    }
