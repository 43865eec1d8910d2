"""The two profiles of hypothesis, and how many examples each tries of a property.

`ci` is fixed: no deadline, no database, the same examples on every run. `long` is chosen by the environment variable
`PROPERTIES_PROFILE=long`: the given number of other examples on every run; one that fails is tried first the next time.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

SLOW_IS_FINE: Final = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
PROFILES: Final = {
    "ci": settings(derandomize=True, deadline=None, database=None, suppress_health_check=SLOW_IS_FINE),
    "long": settings(derandomize=False, deadline=None, suppress_health_check=SLOW_IS_FINE),
}
NAME: Final = os.environ.get("PROPERTIES_PROFILE", "ci")
IS_LONG: Final = NAME == "long"

for name, profile in PROFILES.items():
    settings.register_profile(name, profile)
settings.load_profile(NAME)  # tests/conftest.py imports this: properties elsewhere are fixed in CI, too


def examples(*, ci: int, long: int) -> settings:
    """The chosen profile with this many examples of a property."""
    return settings(PROFILES[NAME], max_examples=long if IS_LONG else ci)
