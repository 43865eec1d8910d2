"""Bodies of feedback calls as clients send them."""

from typing import Any

CARD = "4e0a3a1e-3ad4-4d13-9d3e-3f7d2e1f0a11"
AT = "2026-01-20T09:05:00Z"

EPIC: dict[str, Any] = {
    "feedback": [
        {
            "card": "123456",
            "outcome": "overridden",
            "outcomeTimestamp": "2022-05-19T19:44:04Z",
            "overrideReasons": {
                "extension": {
                    "com.epic.cdshooks.feedback.overrideReason.reasonCategory": "45",
                    "com.epic.cdshooks.feedback.overrideReason.reasonDisplay": "Does not meet criteria",
                    "com.epic.cdshooks.feedback.overrideReason.reasonTitle": "Does not meet criteria",
                },
                "userComment": "marker-comment of Epic",
            },
        },
        {
            "card": "123457",
            "outcome": "overridden",
            "outcomeTimestamp": "2022-05-19T19:44:04Z",
            "overrideReasons": {
                "reason": {"code": "contraindicated", "display": "bad", "system": "http://example.org/reasons"},
            },
        },
        {
            "acceptedSuggestions": [{"id": "replaceWithGUID"}],
            "card": "123458",
            "outcome": "accepted",
            "outcomeTimestamp": "2022-05-19T19:48:34Z",
        },
    ]
}
"""The shapes that Epic documents: the plural key with one object, reasons in its extension, ids that are no UUIDs."""

SANDBOX_OVERRIDE: dict[str, Any] = {
    "feedback": [
        {
            "card": CARD,
            "outcome": "overridden",
            "outcomeTimestamp": "2026-01-20T09:05:00.123Z",
            "overrideReason": {"reason": {"code": "provider-declined"}},
        }
    ]
}
"""The reference sandbox: a reason without display and without system."""


def accepted(**changes: Any) -> dict[str, Any]:
    """A valid entry; a change to `...` leaves the member out."""
    entry = {"card": CARD, "outcome": "accepted", "outcomeTimestamp": AT, "acceptedSuggestions": [{"id": "s1"}]}
    return {name: value for name, value in (entry | changes).items() if value is not ...}


def overridden(**changes: Any) -> dict[str, Any]:
    """A valid entry; a change to `...` leaves the member out."""
    reason = {"reason": {"code": "declined", "system": "http://ehr.example/reasons", "display": "Patient declined"}}
    entry = {"card": CARD, "outcome": "overridden", "outcomeTimestamp": AT, "overrideReason": reason}
    return {name: value for name, value in (entry | changes).items() if value is not ...}
