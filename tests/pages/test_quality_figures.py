"""The figures of a period, counted by a real SQLite file and a real PostgreSQL server; expected ones typed by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

import pytest

from cds_service.feedback import Rejected
from cds_service.quality import Asked, Figures, Latency, percentile, steps_of
from cds_service.store import Decision, Store
from tests.feedback.bodies import accepted, overridden
from tests.feedback.test_store import SIGN, decided, entry, shown

VIEW: Final = "tarlatamab-patient-view"
OFFERED: Final = {("urn:ours", "doses-elsewhere"): "Doses are missing"}
WORDS: Final = {code: words for (_, code), words in OFFERED.items()}
JANUARY: Final = Asked(since=date(2026, 1, 1), until=date(2026, 1, 31))


def at(day: int, hour: int = 9, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


def call(name: str, moment: datetime, *cards: str, row: str = "R2", client: str = "", **changes: Any) -> Decision:
    """A call at this moment with these cards, all of one row."""
    service = changes.get("service", SIGN)
    made = [shown(card, row=row, shown_at=moment, client=client, service=service) for card in cards]
    return decided(*made, id=name, decided_at=moment, client=client, **({"unknowns": {}} | changes))


def figures(store: Store, asked: Asked = JANUARY) -> Figures:
    return Figures(asked, store.quality(asked, OFFERED.keys()), WORDS)


@pytest.fixture
def store(url: str) -> Store:
    return Store(url)


@pytest.fixture
def january(store: Store) -> Store:
    """R2: two cards on the 5th (accepted after all; overridden), one on the 20th (no answer). OBS-1: one overridden."""
    store.add_decisions(
        [
            call("d1", at(5), "c1", "c2", milliseconds=4.0),
            call("d2", at(20), "c3", milliseconds=12.0, unknowns={"Condition": 2, "Observation": 1}),
            call("d3", at(20, 10), "c4", row="OBS-1", milliseconds=200.0, unknowns={"Condition": 1}),
            call("d4", at(21), milliseconds=8.0, service=VIEW),
            call("d5", at(21), status=412, milliseconds=900.0, service=VIEW),
        ]
    )
    given = [
        overridden(card="c1", outcomeTimestamp="2026-01-05T09:01:00Z"),
        accepted(card="c1", outcomeTimestamp="2026-02-05T09:02:00Z"),
        overridden(card="c2", overrideReason={"reason": {"code": "doses-elsewhere", "system": "urn:ours"}}),
        overridden(card="c4", overrideReason={"userComment": "marker of Mrs Example"}),
        overridden(card="of-nobody"),
    ]
    store.add_feedback([entry(body) for body in given], service=SIGN, at=at(22))
    store.add_feedback([Rejected(mistake="entry", path="feedback[0]", entry="7")], service=SIGN, at=at(22))
    return store


# --- cards ----------------------------------------------------------------------------------------------------------


def test_a_row_has_what_became_of_its_cards_by_the_last_thing_done_with_each(january: Store) -> None:
    r2, obs = figures(january).rows
    assert (r2.whole.row, r2.whole.shown, r2.whole.accepted, r2.whole.overridden, r2.whole.ignored) == (
        "R2",
        3,
        1,
        1,
        1,
    )
    assert (obs.whole.row, obs.whole.shown, obs.whole.accepted, obs.whole.overridden) == ("OBS-1", 1, 0, 1)


def test_a_card_counts_on_the_day_it_was_shown(january: Store) -> None:
    r2, _ = figures(january).rows
    counts = {
        day: (step.shown, step.accepted, step.overridden, step.no_answer)
        for day, step in enumerate(r2.steps, start=1)
        if step.shown
    }
    assert counts == {5: (2, 1, 1, 0), 20: (1, 0, 0, 1)}


def test_the_first_and_last_moment_of_a_period_belong_to_it_and_the_next_ones_do_not(store: Store) -> None:
    store.add_decisions(
        [
            call("before", at(4, 23, 59, 59), "c0"),
            call("first", at(5, 0), "c1"),
            call("last", at(6, 23, 59, 59), "c2"),
            call("after", at(7, 0), "c3"),
        ]
    )
    found = figures(store, Asked(since=date(2026, 1, 5), until=date(2026, 1, 6)))
    assert found.calls == 2
    assert [step.shown for step in found.rows[0].steps] == [1, 1]


def test_reasons_are_in_our_words_where_they_are_ours_and_counted_otherwise(january: Store) -> None:
    r2, obs = figures(january).rows
    assert r2.whole.reasons == (("Doses are missing", 1),)
    assert obs.whole.reasons == (("(comment only)", 1),)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ({"reason": {"code": "doses-elsewhere", "system": "urn:ours", "display": "marker"}}, "Doses are missing"),
        ({"reason": {"code": "doses-elsewhere"}}, "Doses are missing"),
        (
            {"reason": {"code": "doses-elsewhere", "system": "urn:theirs"}},
            "(a reason that this service does not offer)",
        ),
        ({"reason": {"code": "marker-mrn-4711"}}, "(a reason that this service does not offer)"),
        ({"reason": "marker: Mrs Example declined"}, "(a reason that this service does not offer)"),
        ({"reason": {"display": "marker"}, "userComment": "marker"}, "(a reason that this service does not offer)"),
        ({"userComment": "marker"}, "(comment only)"),
        (..., "(no reason given)"),
    ],
)
def test_no_word_of_a_client_comes_out(store: Store, reason: Any, expected: str) -> None:
    store.add_decisions([call("d", at(5), "c1")])
    store.add_feedback([entry(overridden(card="c1", overrideReason=reason))], service=SIGN, at=at(5))
    found = figures(store)
    assert found.rows[0].whole.reasons == ((expected, 1),)
    assert "marker" not in repr(found.counted) + found.reasons_as_csv() + found.rows_as_csv()


def test_feedback_that_belongs_to_no_row_is_counted(january: Store) -> None:
    found = figures(january).counted
    assert (found.unknown_cards, found.rejected) == (1, 1)
    assert january.quality(Asked(since=date(2026, 1, 1), until=date(2026, 1, 21)), ()).unknown_cards == 0


def test_a_row_of_a_later_day_is_not_among_the_figures(january: Store) -> None:
    found = figures(january, Asked(since=date(2026, 1, 6), until=date(2026, 1, 19)))
    assert found.is_empty
    assert found.rows == ()


# --- calls ----------------------------------------------------------------------------------------------------------


def test_calls_are_counted_by_status_by_unknowns_and_by_their_cards(january: Store) -> None:
    found = figures(january)
    assert (found.calls, found.answered, found.with_unknowns) == (5, 4, 2)
    assert found.statuses == [(200, 4), (412, 1)]
    assert found.kinds == [("Condition", 2), ("Observation", 1)]
    assert found.kinds_not_told_apart == 0
    assert found.without_cards == 1
    assert found.cards_a_call == 1.0
    assert found.calls_by_step[19] == (2, 2)
    assert found.calls_by_step[20] == (2, 0)


def test_mixtures_of_unknowns_that_are_too_many_to_tell_apart_are_counted_together(
    january: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_service.quality_queries.MIXTURES_OF_KINDS", 1)
    found = figures(january)
    assert (found.with_unknowns, found.kinds_not_told_apart) == (2, 1)


def test_a_hook_and_a_client_have_their_own_figures(january: Store) -> None:
    january.add_decisions([call("e1", at(8), "c1", client="EHR"), call("e2", at(8), client="other")])
    of_view = figures(january, Asked(since=JANUARY.since, until=JANUARY.until, service=VIEW))
    assert (of_view.calls, of_view.rows, of_view.counted.cards) == (2, (), {0: 1})
    of_client = figures(january, Asked(since=JANUARY.since, until=JANUARY.until, client="EHR"))
    assert (of_client.calls, [row.whole.accepted for row in of_client.rows]) == (1, [0])
    assert (of_client.counted.clients, of_client.counted.unknown_cards) == (("EHR",), 0)
    of_all = figures(january)
    assert (of_all.calls, of_all.counted.clients) == (7, ("", "EHR", "other"))


# --- time to answer -------------------------------------------------------------------------------------------------


def test_durations_are_of_answered_calls(january: Store) -> None:
    found = figures(january)
    assert found.latency == Latency(calls=4, p50=8.0, p95=200.0, p99=200.0)
    assert found.latency_by_service == [
        (SIGN, Latency(calls=3, p50=12.0, p95=200.0, p99=200.0)),
        (VIEW, Latency(calls=1, p50=8.0, p95=8.0, p99=8.0)),
    ]
    assert found.latency_by_step[0] == Latency(calls=0, p50=None, p95=None, p99=None)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (0.0, 0.0),
        (0.3, 0.3),
        (9.9, 9.9),
        (10.4, 10.0),
        (12.5, 13.0),
        (99.4, 99.0),
        (99.6, 100.0),
        (344.0, 340.0),
        (1_250.0, 1_300.0),
        (9_940.0, 9_900.0),
        (12_499.0, 12_000.0),
        (59_400.0, 59_000.0),
        (3_600_000.0, 60_000.0),
    ],
)
def test_a_duration_is_kept_to_two_digits_and_up_to_a_minute(
    store: Store, milliseconds: float, expected: float
) -> None:
    store.add_decisions([call("d", at(5), milliseconds=milliseconds)])
    assert figures(store).latency.p50 == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [(50, 5.0), (51, 6.0), (95, 10.0), (90, 9.0), (91, 10.0), (10, 1.0), (11, 2.0)],
)
def test_a_percentile_is_the_nearest_rank(part: int, expected: float) -> None:
    ten = dict.fromkeys((10, 20, 30, 40, 50, 60, 70, 80, 90, 100), 1)
    assert percentile(ten, part) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile({}, 50) is None


# --- days and weeks -------------------------------------------------------------------------------------------------


def test_up_to_45_days_are_shown_singly_and_more_by_week() -> None:
    singly = steps_of(Asked(since=date(2026, 1, 1), until=date(2026, 2, 14)))
    assert (len(singly), singly[0].name, singly[-1].name) == (45, "2026-01-01", "2026-02-14")
    by_week = steps_of(Asked(since=date(2026, 1, 1), until=date(2026, 2, 15)))
    assert [step.name for step in by_week] == [
        *("2026-01-01 to 01-04", "2026-01-05 to 01-11", "2026-01-12 to 01-18", "2026-01-19 to 01-25"),
        *("2026-01-26 to 02-01", "2026-02-02 to 02-08", "2026-02-09 to 02-15"),
    ]


def test_a_week_has_the_cards_of_its_days(january: Store) -> None:
    r2 = figures(january, Asked(since=date(2026, 1, 1), until=date(2026, 3, 1))).rows[0]
    assert [step.shown for step in r2.steps] == [0, 2, 0, 1, 0, 0, 0, 0, 0]


# --- for spreadsheets -------------------------------------------------------------------------------------------------


def test_the_csv_has_a_line_for_each_row_and_day_with_cards(january: Store) -> None:
    assert figures(january).rows_as_csv().splitlines() == [
        "row,topic,action,day,shown,accepted,overridden,no answer",
        "OBS-1,dose,restart-step-up,2026-01-20,1,0,1,0",
        "R2,dose,restart-step-up,2026-01-05,2,1,1,0",
        "R2,dose,restart-step-up,2026-01-20,1,0,0,1",
    ]


def test_the_csv_of_reasons_has_a_line_for_each_row_and_reason(january: Store) -> None:
    assert figures(january).reasons_as_csv().splitlines() == [
        "row,topic,action,code,reason,overridden",
        "OBS-1,dose,restart-step-up,,(comment only),1",
        "R2,dose,restart-step-up,doses-elsewhere,Doses are missing,1",
    ]


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_begins_like_a_formula(store: Store, begins: str) -> None:
    store.add_decisions([call("d", at(5), "c1", row=f"{begins}1+1")])
    store.add_feedback([entry(overridden(card="c1"))], service=SIGN, at=at(5))
    for text in (figures(store).rows_as_csv(), figures(store).reasons_as_csv()):
        assert f"'{begins}1+1" in text
