"""Made-up calls, cards and feedback in a store, the same each time: for pictures of the quality page, and to time it.

`python -m tests.support.quality_data sqlite:///example.sqlite3 --calls 5000 --days 90`, then start `python app.py` with
that address as CDS_DATABASE_URL.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cds_service.feedback import Feedback
from cds_service.store import Decision, Shown, Store

SERVICES: Final = (("order-sign", 6), ("order-select", 5), ("patient-view", 8), ("encounter-discharge", 1))
ROWS: Final = (
    ("OBS-1", "monitoring", "monitor", "info", 30, 0.62, 0.06),
    ("R2", "dose", "restart-step-up", "critical", 9, 0.71, 0.12),
    ("PREMED-STEROID", "premedication", "add", "warning", 22, 0.55, 0.21),
    ("CRS-HOLD-G2", "crs", "withhold", "critical", 6, 0.66, 0.08),
    ("PREG-CONFIRM", "pregnancy", "check", "warning", 14, 0.31, 0.38),
    ("LINE-UNGRADED", "record", "clarify", "warning", 11, 0.2, 0.12),
    ("COURSE-STATUS", "course", "show", "info", 24, 0.05, 0.01),
    ("NEURO-HOLD-G2", "neurotoxicity", "withhold", "critical", 3, 0.7, 0.05),
)
"""Row, topic, action, indicator, weight, share accepted, share overridden."""

REASONS: Final[Sequence[dict[str, Any] | None]] = (
    {"reason": {"code": "doses-elsewhere"}},
    {"reason": {"code": "planned-so"}},
    {"reason": {"display": "Words of a site, which are nobody's to show"}},
    {"userComment": "a comment"},
    None,
)
UNKNOWNS: Final[Sequence[dict[str, int]]] = ({}, {}, {}, {}, {}, {"Condition": 1}, {"Observation": 2, "Condition": 1})
BATCH: Final = 2_000


def decisions(calls: int, days: int, until: datetime, client: str) -> Iterator[Decision]:
    """So many calls in so many days before `until`, fewer at weekends, slower in the last week."""
    chance = random.Random(20260120)
    since = until - timedelta(days=days)
    hooks = [hook for hook, _ in SERVICES]
    for number in range(calls):
        at = since + (until - since) * (number / calls)
        if at.weekday() >= 5 and chance.random() < 0.7:
            continue
        hook = chance.choices(hooks, [weight for _, weight in SERVICES])[0]
        status = 200 if chance.random() > 0.004 else 503
        rows = (
            chance.choices(ROWS, [row[4] for row in ROWS], k=chance.choice((0, 0, 0, 1, 2, 3))) if status == 200 else []
        )
        slower = 1.4 if (until - at).days < 7 else 1.0
        yield Decision(
            id=f"{client}-{number}",
            decided_at=at,
            client=client,
            service=f"tarlatamab-{hook}",
            hook_instance=f"h{number}",
            status=status,
            knowledge="tarlatamab 2026.1",
            row_ids=tuple(row[0] for row in rows),
            unknowns=chance.choice(UNKNOWNS) if status == 200 else {},
            milliseconds=round(slower * chance.lognormvariate(3.2, 0.7), 1),
            cards=tuple(_card(row, f"{client}-{number}-{place}", hook, at, client) for place, row in enumerate(rows)),
        )


def _card(row: tuple[Any, ...], card: str, hook: str, at: datetime, client: str) -> Shown:
    name, topic, action, indicator, *_ = row
    return Shown(
        card=card,
        service=f"tarlatamab-{hook}",
        hook=hook,
        leading_row=name,
        topic=topic,
        action=action,
        indicator=indicator,
        knowledge="tarlatamab 2026.1",
        shown_at=at,
        client=client,
    )


def feedback(made: Sequence[Decision], chance: random.Random) -> Iterator[Feedback]:
    """What was done with these cards, as far as anything was."""
    shares = {row[0]: (row[5], row[6]) for row in ROWS}
    for shown in (card for decision in made for card in decision.cards):
        accepted, overridden = shares[shown.leading_row]
        drawn = chance.random()
        if drawn < accepted + overridden:
            outcome = "accepted" if drawn < accepted else "overridden"
            given = {"card": shown.card, "outcome": outcome, "outcomeTimestamp": shown.shown_at.isoformat()}
            reason = chance.choice(REASONS) if outcome == "overridden" else None
            yield Feedback.model_validate(given | ({"overrideReason": reason} if reason else {}))


def fill(store: Store, *, calls: int, days: int, until: datetime, client: str) -> None:
    """Write them, a few thousand at a time."""
    chance = random.Random(2)
    batch: list[Decision] = []

    def write() -> None:
        store.add_decisions(batch)
        store.add_feedback(list(feedback(batch, chance)), service="tarlatamab-order-sign", at=until, client=client)
        batch.clear()

    for made in decisions(calls, days, until, client):
        batch.append(made)
        if len(batch) == BATCH:
            write()
    write()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.quality_data")
    parser.add_argument("database")
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--client", default="")
    given = parser.parse_args(arguments)
    until = datetime.now(UTC)
    fill(Store(given.database), calls=given.calls, days=given.days, until=until, client=given.client)


if __name__ == "__main__":
    main(sys.argv[1:])
