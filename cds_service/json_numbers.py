"""Numbers in JSON that comes in: each with the digits it was sent with."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

MOST_DIGITS: Final = 64
"""A number with a larger exponent than this is no quantity, and costly to expand."""


def number_or_text(text: str) -> Decimal | str:
    """A decimal number; beyond reason it stays a text, and whoever reads its resource says that it is no number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if abs(number.adjusted()) <= MOST_DIGITS else text
