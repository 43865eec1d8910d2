"""Rows → Parquet, and the report in Markdown: how often what would have been shown, and what could not be known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from cds_service import comparison
from cds_service.replay.assumptions import Assumption
from cds_service.replay.evaluation import Row
from cds_service.replay.shards import Sifted

COLUMNS: Final[Mapping[str, str]] = {
    "patient": "VARCHAR",
    "order": "VARCHAR",
    "signing": "VARCHAR",
    "moment": "VARCHAR",
    "hook": "VARCHAR",
    "outcome": "VARCHAR",
    "reason": "VARCHAR",
    "card": "INTEGER",
    "indicator": "VARCHAR",
    "topic": "VARCHAR",
    "action": "VARCHAR",
    "summary": "VARCHAR",
    "rows": "VARCHAR[]",
    "source": "VARCHAR",
    "knowledge": "VARCHAR",
    "unknowns": "STRUCT(name VARCHAR, number INTEGER)[]",
    "assumptions": "STRUCT(name VARCHAR, number INTEGER)[]",
    "changed": "BOOLEAN",
    "cards_changed": "BOOLEAN",
}
"""The columns of the Parquet file, in their order."""

INDICATORS: Final = ("critical", "warning", "info")
_MOST_UNREADABLE: Final = 10


def write_parquet(results: Iterable[Path], out: Path) -> None:
    """All rows in one file; it is there only when it is whole."""
    files = [str(path) for path in results]
    unfinished = out.with_name(f"{out.name}.tmp")
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())
    empty = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in COLUMNS.items())
    source = f"FROM read_json($1, format = 'newline_delimited', columns = {{{types}}})"
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    with duckdb.connect() as base:
        base.execute("SET enable_progress_bar = false")
        if files:
            base.execute(f"CREATE TABLE found AS SELECT {names} {source}", [files])
        else:
            base.execute(f"CREATE TABLE found AS SELECT {empty} WHERE false")
        path = str(unfinished).replace("'", "''")
        base.execute(f"""COPY (FROM found ORDER BY patient, moment, "order", card) TO '{path}' (FORMAT parquet)""")
    unfinished.replace(out)


@dataclass(kw_only=True)
class Counts:
    """What is counted over all rows. Orders and cards are counted once, however many rows they have."""

    patients: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    indicators: Counter[str] = field(default_factory=Counter)
    orders_with: Counter[str] = field(default_factory=Counter)
    leading: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    unknowns: Counter[str] = field(default_factory=Counter)
    assumed_orders: Counter[str] = field(default_factory=Counter)
    assumed: Counter[str] = field(default_factory=Counter)
    changed: Counter[bool] = field(default_factory=Counter)
    changes: list[comparison.Change] = field(default_factory=list)

    @property
    def orders(self) -> int:
        return sum(self.outcomes.values())

    @property
    def assessed(self) -> int:
        return self.outcomes["card"] + self.outcomes["no card"]

    @property
    def cards(self) -> int:
        return sum(self.indicators.values())


def counted(rows: Iterable[Row]) -> Counts:
    """The figures of the report. Rows of one order come together."""
    counts, order, signing = Counts(), ("", "", ""), ""
    cards: set[int | None] = set()
    indicators: set[str] = set()
    for row in rows:
        counts.patients.add(row.patient)
        if (row.patient, row.order, row.moment) != order or row.outcome == "not assessed":
            order = (row.patient, row.order, row.moment)
            indicators = set()
            _count_order(row, counts)
        if row.signing != signing:
            signing, cards = row.signing, set()
        if row.outcome == "card" and row.indicator not in indicators:
            indicators.add(row.indicator)
            counts.orders_with[row.indicator] += 1
        if row.outcome == "card" and row.card not in cards:
            cards.add(row.card)
            counts.indicators[row.indicator] += 1
            counts.leading[(row.rows[0] if row.rows else "none", row.indicator, f"{row.topic}/{row.action}")] += 1
    return counts


def _count_order(row: Row, counts: Counts) -> None:
    counts.outcomes[row.outcome] += 1
    if row.outcome == "not assessed":
        counts.reasons[row.reason] += 1
    counts.unknowns.update({unknown.name: 1 for unknown in row.unknowns})
    for assumption in row.assumptions:
        counts.assumed_orders[assumption.name] += 1
        counts.assumed[assumption.name] += assumption.number
    if row.changed is not None:
        counts.changed[row.changed] += 1
    if row.changed:
        words = f"order {row.order} of {row.moment[:10]}"
        counts.changes.append(
            comparison.Change(
                before=row.before, after=row.after, situations=(words,), is_of_cards=bool(row.cards_changed)
            )
        )


# --- the report -------------------------------------------------------------------------------------------------------


def report(counts: Counts, sifted: Sifted, *, knowledge: str, against: str = "") -> str:
    """The report in Markdown."""
    parts = [
        f"# What {knowledge} would have shown",
        *_figures(counts),
        *_rows_that_spoke(counts),
        *_not_known(counts),
        *_of_the_export(sifted),
        *(_compared(counts, knowledge, against) if against else ()),
    ]
    return "\n".join(parts) + "\n"


def _figures(counts: Counts) -> Iterator[str]:
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| patients with orders | {len(counts.patients):,} |"
    yield f"| orders | {counts.orders:,} |"
    yield f"| orders with cards | {counts.outcomes['card']:,} |"
    yield f"| orders without cards: assessed, nothing to say | {counts.outcomes['no card']:,} |"
    yield f"| **orders that were not assessed** | {counts.outcomes['not assessed']:,} |"
    yield f"| cards | {counts.cards:,} ({_per_100(counts.cards, counts.assessed)} for 100 assessed orders) |"
    yield ""
    yield "| indicator | cards | for 100 assessed orders | orders with at least one |"
    yield "|---|---|---|---|"
    for indicator in INDICATORS:
        cards = counts.indicators[indicator]
        yield f"| {indicator} | {cards:,} | {_per_100(cards, counts.assessed)} | {counts.orders_with[indicator]:,} |"


def _per_100(number: int, of: int) -> str:
    return f"{100 * number / of:.1f}" if of else "–"


def _rows_that_spoke(counts: Counts) -> Iterator[str]:
    """Worst first, then by how often."""
    yield from ("", "## Cards by leading row", "| row | indicator | about | cards | for 100 assessed orders |")
    yield "|---|---|---|---|---|"
    for (row, indicator, about), cards in sorted(
        counts.leading.items(), key=lambda found: (INDICATORS.index(found[0][1]), -found[1], found[0])
    ):
        yield f"| {row} | {indicator} | {about} | {cards:,} | {_per_100(cards, counts.assessed)} |"


def _not_known(counts: Counts) -> Iterator[str]:
    yield from ("", "## What was not known")
    if not (counts.reasons or counts.unknowns or counts.assumed):
        yield "Nothing had to be assumed, and everything could be read."
    for reason, orders in counts.reasons.most_common():
        yield f"- **not assessed**, {_orders(orders)}: {reason}"
    for kind, orders in sorted(counts.unknowns.items()):
        yield f"- {kind} that could not be read or attributed: {_orders(orders)}"
    for assumption in Assumption:
        if orders := counts.assumed_orders[assumption]:
            number = counts.assumed[assumption]
            yield f"- `{assumption}`: {assumption.says} ({_orders(orders)}, {number:,} resources)"


def _orders(number: int) -> str:
    return f"{number:,} order{'' if number == 1 else 's'}"


def _of_the_export(sifted: Sifted) -> Iterator[str]:
    yield from ("", "## The export", f"{sifted.lines:,} lines read: {_listed(sifted.by_type)}.")
    if sifted.not_exported:
        yield (
            f"- **no file of {', '.join(sifted.not_exported)}**: taken as not exported, which cards say. If the export "
            f"was asked for them and there are none, run with --none {' --none '.join(sifted.not_exported)}"
        )
    if sifted.unreadable:
        worst = dict(sorted(sifted.unreadable.items(), key=lambda found: -found[1])[:_MOST_UNREADABLE])
        yield f"- **{sum(sifted.unreadable.values()):,} unreadable lines**, whosever they are: {_listed(worst)}"
    if sifted.no_patient:
        yield f"- resources that name no patient, not used: {_listed(sifted.no_patient)}"
    if sifted.orders_of_nobody:
        yield f"- **{_orders(sifted.orders_of_nobody)} of the drug named no patient** and could not be replayed"
    if sifted.repeated:
        yield f"- lines that came more than once, counted once: {sifted.repeated:,}"
    if sifted.versions:
        yield f"- resources in several versions, of which the one known at the time counts: {sifted.versions:,}"
    if sifted.files_not_read:
        yield f"- files of types that the service does not read: {_listed(sifted.files_not_read)}"
    yield f"- references to patients: {_listed(sifted.references) or 'none'}"


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items())


def _compared(counts: Counts, knowledge: str, against: str) -> Iterator[str]:
    """The changes in a prescriber's words, as the review of two versions gives them."""
    yield from ("", f"## {against} → {knowledge}")
    yield f"{_orders(sum(counts.changed.values()))} asked, {counts.changed[True]:,} answered otherwise"
    for change in comparison.grouped(counts.changes):
        yield from ("", change.as_markdown().replace(" situation", " order", 1))
