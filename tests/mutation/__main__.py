"""`python -m tests.mutation [R2 …]`: what becomes of each mutant of the knowledge, or of those so named."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.mutation.knowledge import Killer, complaints, equivalents, verdicts


def main(chosen: list[str]) -> int:
    began = time.perf_counter()
    found = verdicts(chosen)
    seconds = time.perf_counter() - began
    for verdict in found:
        print(f"{verdict.killer.value:35} {verdict.name}  {verdict.where}")
    counted = Counter(verdict.killer for verdict in found)
    print(
        f"{len(found)} mutants in {seconds:.0f} s; killed by " + ", ".join(f"{k.value}: {counted[k]}" for k in Killer)
    )
    wrong = [] if chosen else complaints(found, equivalents())
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
