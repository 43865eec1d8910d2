"""The report's figures and sentences, typed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cds_service.replay.assumptions import Assumption
from cds_service.replay.evaluation import Counted, Row
from cds_service.replay.shards import Sifted
from cds_service.replay.summary import counted, report

ROOT = Path(__file__).resolve().parent.parent.parent


def row(order: str, outcome: str = "card", **others: Any) -> Row:
    return Row(patient="p", order=order, signing="s", moment="2026-03-10T14:00:00+01:00", outcome=outcome, **others)


def card(order: str, number: int, indicator: str, leading: str, **others: Any) -> Row:
    return row(order, card=number, indicator=indicator, topic="dose", action="wait", rows=(leading, "X"), **others)


def sifted(**others: Any) -> Sifted:
    none: dict[str, Any] = {"by_type": {}, "unreadable": {}, "no_patient": {}, "references": {}, "files_not_read": {}}
    none |= {"shards": 1, "patients": 1, "lines": 0, "orders_of_nobody": 0, "repeated": 0, "versions": 0}
    return Sifted(**{**none, "not_exported": [], **others})


def test_a_card_about_two_orders_is_one_card_and_two_orders() -> None:
    counts = counted([card("a", 1, "critical", "R2"), card("a", 2, "info", "OBS"), card("b", 1, "critical", "R2")])
    assert (counts.orders, counts.cards, counts.indicators) == (2, 2, {"critical": 1, "info": 1})
    assert counts.orders_with == {"critical": 2, "info": 1}
    assert counts.leading == {("R2", "critical", "dose/wait"): 1, ("OBS", "info", "dose/wait"): 1}


def test_every_order_has_one_outcome() -> None:
    counts = counted([card("a", 1, "info", "OBS"), row("b", "no card"), row("", "not assessed", reason="why")])
    assert counts.outcomes == {"card": 1, "no card": 1, "not assessed": 1}
    assert (counts.orders, counts.assessed, counts.reasons) == (3, 2, {"why": 1})


def test_assumptions_and_unknowns_count_once_for_each_order() -> None:
    noted: dict[str, Any] = {
        "assumptions": (Counted("undated-kept", 3),),
        "unknowns": (Counted("Observation", 2),),
    }
    counts = counted([card("a", 1, "info", "OBS", **noted), card("a", 2, "info", "R1", **noted)])
    assert (counts.assumed_orders, counts.assumed) == ({"undated-kept": 1}, {"undated-kept": 3})
    said = report(counts, sifted(), knowledge="k")
    assert "- Observation that could not be read or attributed: 1 order" in said
    assert f"- `undated-kept`: {Assumption.UNDATED_KEPT.says} (1 order, 3 resources)" in said


def test_the_export_says_what_was_wrong_with_it() -> None:
    said = report(
        counted([]),
        sifted(
            lines=1_012,
            by_type={"Condition": 1_000},
            unreadable={"b.ndjson": 2, "a.ndjson": 10},
            no_patient={"Observation": 3},
            orders_of_nobody=2,
            repeated=4,
            versions=5,
            files_not_read={"Encounter": 1},
            not_exported=["AdverseEvent", "Procedure"],
            references={"relative": 6},
        ),
        knowledge="k",
    )
    assert said.partition("## The export\n")[2].splitlines() == [
        "1,012 lines read: Condition 1,000.",
        (
            "- **no file of AdverseEvent, Procedure**: taken as not exported, which cards say. If the export was asked "
            "for them and there are none, run with --none AdverseEvent --none Procedure"
        ),
        "- **12 unreadable lines**, whosever they are: a.ndjson 10, b.ndjson 2",
        "- resources that name no patient, not used: Observation 3",
        "- **2 orders of the drug named no patient** and could not be replayed",
        "- lines that came more than once, counted once: 4",
        "- resources in several versions, of which the one known at the time counts: 5",
        "- files of types that the service does not read: Encounter 1",
        "- references to patients: relative 6",
    ]
    assert "Nothing had to be assumed, and everything could be read." in said


@pytest.mark.parametrize("assumption", Assumption)
def test_the_documentation_explains_every_assumption(assumption: Assumption) -> None:
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    assert f"| `{assumption}` |" in page
