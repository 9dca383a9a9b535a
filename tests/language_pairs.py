"""The languages that a kind of batch pairs, stated here once more, apart from the package."""

import operator
from collections.abc import Callable

# Whether a kind may pair a language of the query with one of the passage.
LANGUAGE_PAIRS: dict[str, Callable[[str, str], bool]] = {
    "mono": operator.eq,
    "mono-rows": operator.eq,
    "cross": operator.ne,
    "cross-rows": operator.ne,
}
BY_ROW = {"mono-rows", "cross-rows"}  # the rows of a batch may differ in their languages
