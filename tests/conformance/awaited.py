"""Tests of what is being built: skipped as long as the checklist calls it pending, and failing once it does not."""

from __future__ import annotations

import pytest

from tests.conformance.checklist import items


def skip_or_fail(*awaited: str) -> None:
    """Called where these items find nothing to test. Without `pending` in items.yaml that is a failure."""
    if all(items()[item].standing == "pending" for item in awaited):
        pytest.skip(f"being built: {', '.join(awaited)}")
    pytest.fail(f"not offered, though items.yaml does not call all of {', '.join(awaited)} pending")
