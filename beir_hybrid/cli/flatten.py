"""Commands whose parameters are dataclasses of options, so that each option is declared once."""

import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo


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
        kind, group = _split_annotation(parameter.annotation)
        if is_dataclass(kind):
            parameters += _list_parameters(kind, group)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**values: object) -> None:
        for parameter in signature.parameters.values():
            kind, group = _split_annotation(parameter.annotation)
            if is_dataclass(kind):
                values[parameter.name] = _fill(kind, group, values)
        command(**values)

    flat: Any = run  # functions have no such attribute for mypy
    flat.__signature__ = signature.replace(parameters=parameters)
    flat.__annotations__ = {}  # typer would resolve the dataclasses' names
    return run


def _list_parameters(kind: Any, group: Group) -> Iterator[inspect.Parameter]:
    """Yield a parameter for each field of a dataclass, and for those of dataclasses in it."""
    hints = get_type_hints(kind, include_extras=True)
    for option in _list_fields(kind, group):
        inner, inner_group = _split_annotation(hints[option.name])
        if is_dataclass(inner):
            yield from _list_parameters(inner, inner_group)
            continue
        yield inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if option.default is MISSING else option.default,
            annotation=_annotate(option, hints[option.name], group.panel),
        )


def _fill(kind: Any, group: Group, values: dict[str, object]) -> object:
    """Take the values of a dataclass's fields out of a command's values, and return it."""
    hints = get_type_hints(kind, include_extras=True)
    arguments = {}
    for option in _list_fields(kind, group):
        inner, inner_group = _split_annotation(hints[option.name])
        is_group = is_dataclass(inner)
        arguments[option.name] = (
            _fill(inner, inner_group, values) if is_group else values.pop(option.name)
        )
    return kind(**arguments)


def _list_fields(kind: Any, group: Group) -> list["Field[Any]"]:
    return [option for option in fields(kind) if option.name not in group.without]


def _split_annotation(annotation: Any) -> tuple[Any, Group]:
    """Return the type of an annotation and the group in it."""
    if get_origin(annotation) is not Annotated:
        return annotation, Group()
    kind, *extras = get_args(annotation)
    return kind, next((extra for extra in extras if isinstance(extra, Group)), Group())


def _annotate(option: "Field[Any]", annotation: Any, panel: str | None) -> Any:
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


def _replace_literals(kind: Any) -> Any:
    """Replace types of certain texts by `str`, which typer knows in all versions."""
    if get_origin(kind) is Literal:
        return str
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(map(_replace_literals, get_args(kind)))]  # noqa: UP007 - of a tuple
    return kind


def list_changes(options: Any) -> dict[str, Any]:
    """Return the fields of a dataclass whose values are not the defaults."""
    return {
        option.name: value
        for option in fields(options)
        if (value := getattr(options, option.name)) != option.default
    }
