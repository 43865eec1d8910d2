"""`python -m tests.differential COUNT [SEED]`: compares the engine with the second implementation and prints figures.

Exit code 1 if a difference is not of a known shape; then each is printed as the smallest history that shows it.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from time import monotonic

from tests.differential.differences import Difference, differences, minimal
from tests.differential.histories import History, histories
from tests.differential.known import known_as

MOST_SHOWN = 10


def main(count: int, seed: int) -> int:
    begun = monotonic()
    shapes: Counter[str] = Counter()
    unexplained: dict[tuple[object, ...], tuple[History, Difference]] = {}
    doses = 0
    for history in histories(seed, count):
        doses += sum(order.in_draft_orders for order in history.state.orders)
        found = list(differences(history))
        if found:
            shape = known_as(history.state)
            shapes[shape or "not explained"] += 1
            unexplained |= {} if shape else {difference.kind: (history, difference) for difference in found}
    print(f"{count} histories, {doses} ordered doses, seed {seed}: {sum(shapes.values())} histories differ")
    for shape, number in shapes.most_common():
        print(f"  {number}: {shape}")
    print(f"{monotonic() - begun:.0f} s")
    for history, difference in list(unexplained.values())[:MOST_SHOWN]:
        print(f"\n{difference}\n{minimal(history, difference).state}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(
        main(arguments[0] if arguments else 20_000, arguments[1] if len(arguments) > 1 else Random().randrange(10**6))
    )
