"""Runs the trial and prints its figures; 1 if something is lost or fails that must not, 2 if it cannot be run."""

from __future__ import annotations

import argparse
import sys

from tests.scale_out.trial import missing, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale_out", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load in each of the three parts")
    parser.add_argument("--callers", type=int, default=16, help="at the same time")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if absent := missing():
        print(f"This needs nginx and PostgreSQL: {absent}", file=sys.stderr)
        return 2
    verdict = run(seconds=given.seconds, callers=given.callers, seed=given.seed)
    print("\n".join(verdict.figures))
    print("\n".join(f"VIOLATION: {violation}" for violation in verdict.violations) or "No violation.")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
