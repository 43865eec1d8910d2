"""The comparison of vignettes: what is wrong with an answer is said, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vignettes.build import Case, load_vignettes
from tests.vignettes.compare import EXTENSION, cites, complaint, differences

C3D1 = "C3D1, 10 mg fits: 14 days since the last dose. Observe 3–4 h."


def ordinary_day() -> Case:
    return next(case for case in load_vignettes() if case.id == "V31")


def card(action: str = "monitor", summary: str = C3D1, position: str = "C3D1") -> dict[str, Any]:
    entry = {
        "order": "MedicationRequest/v31-draft-1",
        "dose": "10 mg",
        "position": position,
        "dueOn": "2026-02-10",
    }
    advice = {"topic": "monitoring", "action": action, "rows": ["MON-4"], "expected": [entry]}
    return {"summary": summary, "indicator": "info", "extension": {EXTENSION: advice}}


def test_the_right_answer_has_no_differences() -> None:
    assert differences(ordinary_day(), [card()]) == []


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ([], ["missing card: monitoring/monitor info"]),
        ([card(), card()], ["a card too many: monitoring/monitor info"]),
        (
            [card(action="observe")],
            ["missing card: monitoring/monitor info", "a card too many: monitoring/observe info"],
        ),
        ([card(summary="C3D1")], [f"monitoring/monitor info: its summary should be {C3D1!r}"]),
    ],
)
def test_what_is_wrong_is_said(cards: list[dict[str, Any]], expected: list[str]) -> None:
    assert differences(ordinary_day(), cards) == expected


def test_a_wrong_position_is_said() -> None:
    assert "'position': 'C3D1'" in differences(ordinary_day(), [card(position="C3D15")])[0]


def test_a_complaint_names_the_question_and_every_card_that_came() -> None:
    text = complaint(ordinary_day(), [card(summary="Something else")], ["missing card"])

    assert "What does a routine, uncomplicated C3D1 bring?" in text
    assert "monitoring/monitor info: Something else" in text


@pytest.mark.parametrize(
    ("cited", "expected"),
    [
        ("S3", True),
        ("S30", True),
        ("S4", False),  # not among the statements
        ("Table 1", False),  # only its footnote
        ("Table 1 footnote", True),
        ("Table 4", True),
        ("D-1", False),  # D-19, and D-1 only in the reason
        ("D-19", True),
    ],
)
def test_a_source_is_cited_only_where_the_last_paragraph_names_it_whole(cited: str, expected: bool) -> None:
    detail = (
        "Table 9.\n\n**Source**\nImdelltra US PI 2025\\-11, Table 1 footnote, Table 4; seed S3, S4, S30; D\\-19; "
        "hours may be shorter (D\\-1). Rows R2, R4. Not yet clinically reviewed."
    )
    answer = card() | {"detail": detail}
    answer["extension"][EXTENSION]["statements"] = ["S3", "S30"]

    assert cites(answer, cited) is expected
