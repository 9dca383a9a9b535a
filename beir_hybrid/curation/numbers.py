"""Numbers and placeholders of texts, which a translation has to keep."""

import re
import sys
import unicodedata
from collections import Counter
from functools import cache

_MARKS = ".,' \u00a0\u2019\u202f\u066c"
_RUN = re.compile(rf"\d[\d{_MARKS}]*")  # which may be several numbers
# Digits, and marks of thousands, which languages write differently or leave out.
# Lakh and crore, as in 12,34,567; then thousands. Behind four digits or more a space begins another
# number, as in "2008 150".
_NUMBER = re.compile(
    r"\d{1,2}(?:,\d{2})+,\d{3}(?!\d)"
    rf"|\d{{1,3}}(?:[{_MARKS}]\d{{3}}(?!\d))+"
    r"|\d+(?:[.,'\u2019\u066c]\d{3}(?!\d))*"
)
_MARK = re.compile(r"\D")
# Tags, addresses, and fields such as {name}, %(name)s, %s and ${name}.
_PLACEHOLDER = re.compile(
    r"</?[A-Za-z][^<>]*>|https?://[^\s<>\"]+[^\s<>\".,;:!?)]|\$?\{\w*\}|%\(\w+\)[sd]|%[sd]\b"
)


def list_numbers(text: str) -> list[str]:
    """Return the numbers of a text from 10 on, sorted, whatever their digits and marks.

    Smaller ones are words in many translations. What is behind a decimal mark is another number.

    >>> list_numbers("1,234.56 of 012 in 2")
    ['12', '1234', '56']
    >>> list_numbers("In 2008 150 of 12,34,567")
    ['1234567', '150', '2008']
    """
    runs = _RUN.findall(text)
    numbers = [_read_number(number) for run in runs for number in _NUMBER.findall(run)]
    return sorted(number for number in numbers if len(number) > 1)


def _read_number(number: str) -> str:
    """Return the digits of ASCII that a number has, without marks and leading zeros."""
    digits = number if number.isdecimal() else _MARK.sub("", number)
    return (digits if digits.isascii() else digits.translate(_list_decimals())).lstrip("0")


def count_placeholders(text: str) -> Counter[str]:
    """Count the tags, addresses and fields of a text.

    >>> sorted(count_placeholders("Dear {name}, see <b>https://a.de/x</b>."))
    ['</b>', '<b>', 'https://a.de/x', '{name}']
    """
    return Counter(_PLACEHOLDER.findall(text))


@cache
def _list_decimals() -> dict[int, str]:
    """Return the decimal digits of all scripts with those of ASCII."""
    return {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(128, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) == "Nd"
    }
