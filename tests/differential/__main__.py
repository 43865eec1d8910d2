"""`python -m tests.differential COUNT [SEED]`: compares the engine with the second implementation and prints figures.

Exit code 1 if a difference is not of a known shape; then each is printed as the smallest history that shows it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from time import monotonic

from fhir_mappings.facts import Grade, MaybeWhen, When
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
        print("", difference, *rows(minimal(history, difference)), sep="\n")
    return 1 if unexplained else 0


def rows(history: History) -> Iterator[str]:
    """What the history holds, a line each, in days from today."""
    state = history.state
    for dose in state.administrations:
        yield f"  given {away(dose.start, history)}: {dose.amount.mg} mg, {dose.status or 'no status'}"
    for order in state.orders:
        name = f"{order.order} part {order.part}, {order.status}"
        yield f"  ordered {away(order.day, history)}: {order.amount.mg} mg, {name} {order.amount.doubt}"
    for record in state.toxicities:
        grade = record.grade.value if isinstance(record.grade, Grade) else "?"
        said = f"{record.course.value}, {'confirmed' if record.confirmed else 'unconfirmed'}"
        yield (
            f"  {record.syndrome.value} grade {grade}, {away(record.onset, history)} to {away(record.end, history)}: "
            f"{record.reference}, {said}"
        )
    for result in state.labs:
        yield f"  {result.analyte.value} {result.value}, {away(result.day, history)}"
    rest = (state.companions, state.claims, state.engagers, state.allergies, tuple(state.needs.values()))
    yield from (f"  {one}" for several in rest for one in several)


def away(day: MaybeWhen, history: History) -> str:
    return f"{(day.earliest - history.today).days:+d}" if isinstance(day, When) else str(day)


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(
        main(arguments[0] if arguments else 20_000, arguments[1] if len(arguments) > 1 else Random().randrange(10**6))
    )
