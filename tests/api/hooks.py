"""What schemathesis leaves out, because JSON Schema cannot say it."""

from typing import Any

import schemathesis

from cds_service.json_numbers import MOST_DIGITS


def beyond_reason(value: Any) -> bool:
    """Whether a number in it is so large or small that it is read as a text (json_numbers.py), so passes for one."""
    if isinstance(value, dict):
        return any(beyond_reason(part) for part in value.values())
    if isinstance(value, list):
        return any(beyond_reason(part) for part in value)
    return isinstance(value, float) and value != 0 and not 10**-MOST_DIGITS < abs(value) < 10**MOST_DIGITS


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    return not beyond_reason(body)
