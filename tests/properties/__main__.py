"""Try every blank of every vignette: `python -m tests.properties`. Exit code 1 if one is silent without a reason."""

from __future__ import annotations

import sys

from tests.properties.blanks import blanks, unexpected, with_facts


def main() -> int:
    """How many blanks were tried, and what is wrong with them, one to a line."""
    tried, wrong = 0, 0
    for case in with_facts():
        for blank in blanks(case):
            tried += 1
            if found := unexpected(blank):
                wrong += 1
                print(found)
    print(f"{tried} blanks of {len(with_facts())} vignettes, {wrong} silent without a reason")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
