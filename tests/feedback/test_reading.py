"""Feedback as C88-C94 have it: what is read of an entry, and what makes an entry or the whole body unreadable."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cds_service.errors import RequestError
from cds_service.feedback import LONGEST_KEPT, ChosenReason, Feedback, Rejected, read
from tests.feedback.bodies import CARD, EPIC, SANDBOX_OVERRIDE, accepted, overridden


def only(entry: Any) -> Feedback | Rejected:
    (found,) = read(json.dumps({"feedback": [entry]}).encode())
    return found


def readable(entry: Any) -> Feedback:
    found = only(entry)
    assert isinstance(found, Feedback), found
    return found


def chosen(entry: Any) -> ChosenReason:
    override = readable(entry).override_reason
    assert override is not None
    return override.chosen()


# --- the envelope -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", "feedback: required, and missing"),
        (b'{"feedback":null}', "feedback: must be a list"),
        (b'{"feedback":{}}', "feedback: must be a list"),
        (b'{"feedback":"x"}', "feedback: must be a list"),
        (b"[]", "the body must be a JSON object"),
        (b"", "the body is not valid JSON"),
        (b'{"feedback":[],}', "the body is not valid JSON"),
        (b'{"feedback":[],"feedback":[]}', "a key stands twice in one JSON object"),
        (b'{"feedback":' * 3_000, "the JSON is nested too deeply"),
    ],
)
def test_a_broken_envelope_is_refused(body: bytes, expected: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(body)
    assert str(refused.value) == expected


def test_an_empty_list_is_no_mistake() -> None:
    assert read(b'{"feedback":[]}') == ()


def test_the_entries_of_a_batch_are_read_one_by_one_in_their_order() -> None:
    found = read(json.dumps({"feedback": [accepted(), 7, overridden()], "extension": {"x": 1}}).encode())
    assert [type(entry).__name__ for entry in found] == ["Feedback", "Rejected", "Feedback"]


# --- an entry that can be read ------------------------------------------------------------------------------


def test_an_accepted_card_names_its_suggestions_each_once() -> None:
    entry = readable(accepted(acceptedSuggestions=[{"id": "s2", "extension": {}}, {"id": "s1"}, {"id": "s2"}]))
    assert (entry.card, entry.outcome, entry.suggestions) == (CARD, "accepted", ("s1", "s2"))
    assert entry.outcome_timestamp == datetime(2026, 1, 20, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize("suggestions", [..., None, [], ["s1"], {"id": "s1"}, [{"id": 1}]])
def test_suggestions_may_be_missing_or_of_another_shape(suggestions: Any) -> None:
    expected = {"[]": (), "[{'id': 1}]": ("1",)}.get(
        str(suggestions), ("s1",) if suggestions not in (..., None) else ()
    )
    assert readable(accepted(acceptedSuggestions=suggestions)).suggestions == expected


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (CARD.upper(), CARD),
        ("123456", "123456"),
        (123456, "123456"),
        ("Not a UUID", "Not a UUID"),
        ("x" * 256, "x" * 256),
        ("a\x00b", "a\ufffdb"),
    ],
)
def test_a_card_may_have_any_name(card: Any, expected: str) -> None:
    assert readable(accepted(card=card)).card == expected


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-20T09:05:00Z",
        "2026-01-20T09:05:00.000Z",
        "2026-01-20T09:05:00.000000000Z",
        "2026-01-20t09:05:00z",
        "2026-01-20T10:05:00+01:00",
        "2026-01-20T09:05:00",
        "2026-01-20 09:05:00Z",
        "2026-01-20T09:05Z",
    ],
)
def test_the_same_moment_in_another_spelling_is_the_same_act(moment: str) -> None:
    assert readable(accepted(outcomeTimestamp=moment)).key("") == readable(accepted()).key("")


@pytest.mark.parametrize(
    "other",
    [
        accepted(card="another"),
        overridden(),
        accepted(outcomeTimestamp="2026-01-20T09:05:01Z"),
        accepted(acceptedSuggestions=[{"id": "s2"}]),
        accepted(acceptedSuggestions=[{"id": "s1"}, {"id": "s2"}]),
    ],
)
def test_another_card_outcome_moment_or_suggestion_is_another_act(other: Any) -> None:
    assert readable(other).key("") != readable(accepted()).key("")


def test_the_same_names_of_two_clients_are_two_acts() -> None:
    assert readable(accepted()).key("one") != readable(accepted()).key("other")


def test_an_outcome_is_read_in_any_case() -> None:
    assert readable(overridden(outcome=" Overridden ")).outcome == "overridden"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ({"code": "x", "system": "s", "display": "d"}, ("x", "s", "d")),
        ({"code": "never-issued"}, ("never-issued", None, None)),
        ({"code": 45, "display": None}, ("45", None, None)),
        ("bare", ("bare", None, None)),
        ([{"code": "x"}], ("x", None, None)),
        ({"coding": [{"code": "x", "system": "s"}], "text": "t"}, ("x", "s", "t")),
        ({"display": "only words"}, (None, None, "only words")),
        (None, (None, None, None)),
    ],
)
def test_a_reason_is_read_with_or_without_system_and_display(reason: Any, expected: tuple[Any, ...]) -> None:
    found = chosen(overridden(overrideReason={"reason": reason, "userComment": "because"}))
    assert (found.code, found.system, found.display) == expected


@pytest.mark.parametrize("none", [..., None, [], {}])
def test_an_override_may_come_without_a_reason(none: Any) -> None:
    assert readable(overridden(overrideReason=none)).outcome == "overridden"


def test_the_sandboxs_override_is_read() -> None:
    found = chosen(SANDBOX_OVERRIDE["feedback"][0])
    assert (found.code, found.system, found.display) == ("provider-declined", None, None)


def test_epics_spelling_is_read_and_the_reason_in_its_extension_found() -> None:
    in_extension, in_reason, taken = read(json.dumps(EPIC).encode())
    assert isinstance(in_extension, Feedback)
    assert in_extension.override_reason is not None
    assert in_extension.override_reason.chosen().display == "Does not meet criteria"
    assert in_extension.override_reason.user_comment == "marker-comment of Epic"
    assert isinstance(in_reason, Feedback)
    assert in_reason.override_reason is not None
    assert in_reason.override_reason.chosen().code == "contraindicated"
    assert isinstance(taken, Feedback)
    assert taken.suggestions == ("replaceWithGUID",)


def test_the_plural_key_counts_where_the_singular_is_null() -> None:
    assert chosen(overridden(overrideReason=None, overrideReasons={"reason": {"code": "x"}})).code == "x"


# --- an entry that cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        (7, "entry"),
        (None, "entry"),
        ([], "entry"),
        ({}, "card"),
        (accepted(card=...), "card"),
        (accepted(card=None), "card"),
        (accepted(card=""), "card"),
        (accepted(card="  "), "card"),
        (accepted(card=True), "card"),
        (accepted(card="x" * 257), "card"),
        (accepted(outcome=...), "outcome"),
        (accepted(outcome="ignored"), "outcome"),
        (accepted(outcome=["accepted"]), "outcome"),
        (accepted(outcomeTimestamp=...), "outcomeTimestamp"),
        (accepted(outcomeTimestamp=1), "outcomeTimestamp"),
        (accepted(outcomeTimestamp="2026-01-20"), "outcomeTimestamp"),
        (accepted(outcomeTimestamp="2026-02-30T09:00:00Z"), "outcomeTimestamp"),
        (accepted(outcomeTimestamp="0001-01-01T00:00:00+14:00"), "outcomeTimestamp"),
        (accepted(outcomeTimestamp="9999-12-31T23:59:59-14:00"), "outcomeTimestamp"),
        (accepted(acceptedSuggestions=7), "acceptedSuggestions"),
        (accepted(acceptedSuggestions=[{}]), "acceptedSuggestions"),
        (accepted(acceptedSuggestions=[{"id": "x" * 257}]), "acceptedSuggestions"),
        (overridden(overrideReason=7), "overrideReason"),
        (overridden(overrideReason={"reason": 7}), "overrideReason"),
        (overridden(overrideReason={"reason": {"code": []}}), "overrideReason"),
        (overridden(overrideReason={"reason": {"coding": 7}}), "overrideReason"),
        (overridden(overrideReason={"userComment": {}}), "overrideReason"),
        (overridden(overrideReason=..., overrideReasons=7), "overrideReason"),
    ],
)
def test_an_entry_that_cannot_be_read_is_kept_with_the_kind_of_mistake(entry: Any, mistake: str) -> None:
    found = only(entry)
    assert isinstance(found, Rejected)
    assert found.mistake == mistake
    assert json.loads(found.entry) == entry
    assert str(found).startswith(f"feedback[0]{'' if mistake == 'entry' else '.' + mistake}: must be ")


def test_of_an_unreadable_entry_a_bounded_part_is_kept() -> None:
    found = only(accepted(card=["x" * 10_000]))
    assert isinstance(found, Rejected)
    assert len(found.entry) == LONGEST_KEPT


def test_free_text_does_not_show_when_an_entry_is_printed() -> None:
    comment = {"userComment": "marker-comment", "extension": {"x": "marker-comment"}}
    for entry in (overridden(overrideReason=comment), overridden(card=7.5, overrideReason=comment)):
        assert "marker-comment" not in repr(only(entry))
