"""Exceptions for everything that a user can put right, and a look-up that suggests near names.

- BeirHybridError

  - BadData
  - BadOption

    - UnknownName

  - MissingExtra
  - Unreachable
  - ClusterFailed
  - NotReadable
  - NotWritable
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class BeirHybridError(Exception):
    """Anything that a user can put right; the command line prints it as one line."""


class BadData(BeirHybridError):  # noqa: N818 - the data is bad; "Error" would add nothing
    """A file or a row is invalid."""


class BadOption(BeirHybridError):  # noqa: N818
    """An argument has a value that makes no sense."""


class UnknownName(BadOption):
    """A name is in no table."""


class MissingExtra(BeirHybridError):  # noqa: N818
    """A feature needs packages that are not installed."""


class Unreachable(BeirHybridError):  # noqa: N818
    """A file is neither in the cache nor in the mirror, and its origin does not deliver it."""


class ClusterFailed(BeirHybridError):  # noqa: N818
    """Other machines do not answer, or have lost the work that they were given."""


class NotReadable(BeirHybridError):  # noqa: N818
    """The system does not let a file be read, which says nothing of its content."""


class NotWritable(BeirHybridError):  # noqa: N818
    """A folder that has to be written to is read-only, or its disk is full."""


def find_reason(error: Exception) -> str:
    r"""Return the first line of an error's message, or its type where there is none.

    >>> find_reason(ValueError("bad weights\nsee ..."))
    'bad weights'
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_MOST_NAMES = 40  # that a message lists


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return ``table[name]``, or raise `UnknownName` with the nearest name.

    >>> lookup("dataset", "xquadr", {"xquad-r": 1, "mlqa-r": 2})
    Traceback (most recent call last):
    ...
    beir_hybrid.errors.UnknownName: no dataset 'xquadr'; did you mean 'xquad-r'?
    """
    if name in table:
        return table[name]
    similar = get_close_matches(name, table, n=1, cutoff=0.5)
    names = sorted(table)
    rest = f", and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    names_text = f"there are {', '.join(names[:_MOST_NAMES])}{rest}"
    hint = f"did you mean {similar[0]!r}?" if similar else names_text
    raise UnknownName(f"no {kind} {name!r}; {hint}")
