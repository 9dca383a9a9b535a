"""The provenance of a collection: the files that its rows were read from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """A file that a collection was read from.

    Attributes
    ----------
    file
        Its address or path.
    sha256
        The checksum of its bytes.
    revision
        The revision of the repository that it was read at, if there is one.
    lang
        The language of all its rows, if there is one and the origin says so.
    """

    file: str
    sha256: str
    revision: str = ""
    lang: str = ""
