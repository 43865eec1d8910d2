"""Whatever JSON comes as feedback is answered, never with a fault of ours, and every entry is accounted for."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from app import build
from cds_service.settings import read_settings
from cds_service.store import Store
from tests.feedback.bodies import overridden

FEEDBACK = "/cds-services/tarlatamab-order-sign/feedback"

odd: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["accepted", "overridden", "2026-01-20T09:00:00Z", "9999-12-31T23:59:60-23:59", "\x00", "c1"]),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "reason", "coding", "code", "display", "userComment", "extension", "x"]),
            parts,
            max_size=3,
        )
    ),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "card": odd | st.just("c1"),
        "outcome": odd | st.sampled_from(["accepted", "overridden"]),
        "outcomeTimestamp": odd | st.just("2026-01-20T09:00:00Z"),
        "acceptedSuggestions": odd,
        "overrideReason": odd,
        "overrideReasons": odd,
    },
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    file: Path = tmp_path_factory.mktemp("odd") / "cds.sqlite3"
    return build(read_settings({}), store=Store(f"sqlite:///{file}")).test_client()


@settings(max_examples=100, deadline=None)
@given(batch=st.lists(entries | odd, max_size=4))
def test_every_entry_of_a_list_is_recorded_repeated_or_rejected(client: FlaskClient, batch: list[Any]) -> None:
    answer = client.post(FEEDBACK, json={"feedback": batch})
    assert answer.status_code == 200
    assert answer.json is not None
    receipt = answer.json["extension"]["org.tarlatamab-cds.feedback"]
    assert receipt["received"] == len(batch)
    assert receipt["received"] == receipt["recorded"] + receipt["repeated"] + receipt["rejected"]


@settings(max_examples=50, deadline=None)
@given(body=odd)
def test_any_other_body_is_refused_or_taken_but_is_no_fault(client: FlaskClient, body: Any) -> None:
    assert client.post(FEEDBACK, data=json.dumps(body), content_type="application/json").status_code == 400
    assert client.post(FEEDBACK, json={"feedback": body}).status_code in {200, 400}


@pytest.mark.parametrize("depth", [100, 500, 900, 2_000])
def test_a_deeply_nested_extension_is_taken_or_refused(client: FlaskClient, depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    entry = json.dumps(overridden(overrideReason={"extension": "nested"})).replace('"nested"', nested)
    body = '{"feedback":[' + entry + "]}"
    assert client.post(FEEDBACK, data=body, content_type="application/json").status_code in {200, 400}


def test_without_a_store_feedback_is_refused_and_calls_are_answered() -> None:
    client = build(read_settings({})).test_client()
    answer = client.post(FEEDBACK, json={"feedback": []})
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["resourceType"] == "OperationOutcome"
