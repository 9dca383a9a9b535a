"""Text for people: plurals and the like."""


def plural(count: int, things: str) -> str:
    """Return a count with its noun, in the singular for one.

    >>> plural(1, "queries"), plural(1190, "languages")
    ('1 query', '1,190 languages')
    """
    one = {"queries": "query"}.get(things, things.removesuffix("s"))
    return f"{count:,} {one if count == 1 else things}"
