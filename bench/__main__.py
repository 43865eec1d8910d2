"""`python -m bench`: measure what a call costs, and write docs/performance.md. Takes about five minutes, on Linux."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from bench.measure import Options, measure
from bench.pages import page
from bench.patients import ROOT
from bench.replayed import kept

PAGE: Final = ROOT / "docs" / "performance.md"


def main(arguments: list[str]) -> None:
    """Measure, and write the page."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="runs of each load; their median counts")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="how long a run lasts")
    parser.add_argument(
        "--memory-calls", type=int, default=usual.memory_calls, help="calls between two looks at the memory"
    )
    parser.add_argument("--print", action="store_true", help="print the page in place of writing it")
    given = parser.parse_args(arguments)
    options = Options(rounds=given.rounds, seconds=given.seconds, memory_calls=given.memory_calls)
    replayed = kept()
    text = page(measure(options, lambda what: print(what, file=sys.stderr)), options, replayed)
    if given.print:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
