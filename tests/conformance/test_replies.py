"""The check of every reply finds what it looks for: a reply that breaks the specification fails the test it is in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
import requests
from flask import Flask, Response
from werkzeug.serving import make_server

from tests.conformance.replies import Reply, check, mistakes

CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}
UUID: Final = "30327687-2c1c-4f23-b485-15629c26d280"


def reply(
    body: Any, *, status: int = 200, path: str = "/cds-services/x", method: str = "POST", **headers: str
) -> Reply:
    sent = {
        "Content-Type": "application/json",
        **CORS,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Reply(method=method, path=path, status=status, headers=sent, body=json.dumps(body).encode())


def card(**more: Any) -> dict[str, Any]:
    return {"summary": "Wait.", "indicator": "info", "source": {"label": "Label"}, **more}


def suggestions(*recommended: bool) -> list[dict[str, Any]]:
    return [{"label": f"{number}", "isRecommended": one} for number, one in enumerate(recommended)]


def found(given: Reply) -> list[str]:
    return list(mistakes(given))


def test_an_answer_without_cards_and_a_discovery_without_services_are_fine() -> None:
    check(reply({"cards": []}))
    check(reply({"services": []}, path="/cds-services", method="GET"))
    check(reply({"cards": [card(uuid=UUID, extension={"org.example": {"a": 1}})]}))


@pytest.mark.conforms("C1")
def test_a_reply_that_is_not_sent_as_json_is_found() -> None:
    expected = ["is not application/json (C1, C43)"]
    assert found(reply({"cards": []}, Content_Type="text/html")) == expected
    assert found(reply({"cards": []}, Content_Type="application/json; charset=utf-8")) == []


@pytest.mark.conforms("C2")
@pytest.mark.parametrize("empty", [None, "", " ", [], {}])
def test_an_empty_member_is_found_wherever_it_stands(empty: Any) -> None:
    assert "cards[0].extension.org.example.a is empty (C2)" in found(
        reply({"cards": [card(extension={"org.example": {"a": empty}})]})
    )
    assert "cards[0].links is empty (C2)" in found(reply({"cards": [card(links=[])]}))
    assert "cards[0].extension.org.x.cards is empty (C2)" in found(
        reply({"cards": [card(extension={"org.x": {"cards": []}})]})
    )


@pytest.mark.conforms("C2")
def test_what_a_fhir_resource_holds_is_its_own_business() -> None:
    action = {"type": "create", "description": "Add", "resource": {"resourceType": "Basic", "note": []}}
    given = card(suggestions=[{"label": "Add", "actions": [action]}], selectionBehavior="any")
    assert found(reply({"cards": [given]})) == []


@pytest.mark.conforms("C59", "C61", "C62", "C63", "C69", "C74", "C77", "C79", "C80", "C81")
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ""),
        ({"cards": [card(summary="x" * 140)]}, "cards.0.summary"),
        ({"cards": [card(indicator="hard-stop")]}, "cards.0.indicator"),
        ({"cards": [card(source={})]}, "cards.0.source"),
        ({"cards": [card(suggestions=suggestions(False))]}, "cards.0"),
        (
            {
                "cards": [
                    card(
                        selectionBehavior="any",
                        suggestions=[{"label": "x", "actions": [{"type": "replace", "description": "x"}]}],
                    )
                ]
            },
            "cards.0.suggestions.0.actions.0.type",
        ),
        (
            {
                "cards": [
                    card(
                        selectionBehavior="any",
                        suggestions=[{"label": "x", "actions": [{"type": "delete", "description": "x"}]}],
                    )
                ]
            },
            "cards.0.suggestions.0.actions.0",
        ),
        ({"cards": [card(overrideReasons=[{"code": "a", "system": "b"}])]}, "cards.0.overrideReasons.0"),
        ({"cards": [card(links=[{"label": "x", "url": "https://a.example"}])]}, "cards.0.links.0"),
        (
            {
                "cards": [
                    card(links=[{"label": "x", "url": "https://a.example", "type": "absolute", "appContext": "y"}])
                ]
            },
            "cards.0.links.0",
        ),
    ],
)
def test_a_card_that_breaks_the_schema_is_found_with_its_place(body: Any, place: str) -> None:
    assert any(one.startswith(f"breaks the schema at {place}: ") for one in found(reply(body)))


@pytest.mark.conforms("C77")
@pytest.mark.parametrize(
    ("target", "fine"),
    [
        ({"resourceId": "MedicationRequest/1"}, True),
        ({"resource": "MedicationRequest/1"}, True),
        ({"resource": "1"}, False),
        ({"resource": "MedicationRequest/1", "resourceId": "MedicationRequest/1"}, False),
    ],
)
def test_what_to_delete_is_named_as_2_0_or_as_1_x_names_it(target: dict[str, Any], fine: bool) -> None:
    action = {"type": "delete", "description": "Cancel", **target}
    given = card(suggestions=[{"label": "Cancel", "actions": [action]}], selectionBehavior="any")
    assert (found(reply({"cards": [given]})) == []) is fine


@pytest.mark.conforms("C85")
@pytest.mark.parametrize("body", [{"cards": [card(priority="high")]}, {"cards": [], "warnings": 1}])
def test_a_member_that_the_specification_does_not_know_is_found(body: Any) -> None:
    assert any("breaks the schema" in one for one in found(reply(body)))


@pytest.mark.conforms("C85", "C118")
def test_an_extension_that_is_no_object_or_not_named_for_a_domain_is_found() -> None:
    assert "cards[0].extension.advice is no reverse-domain name (C85)" in found(
        reply({"cards": [card(extension={"advice": 1})]})
    )
    assert "cards[0].extension is no object (C118)" in found(reply({"cards": [card(extension=[1])]}))


@pytest.mark.conforms("C65")
def test_a_uuid_that_stands_twice_is_found() -> None:
    assert found(reply({"cards": [card(uuid=UUID), card(uuid=UUID)]})) == ["a uuid stands twice (C65, C71)"]


@pytest.mark.conforms("C70")
@pytest.mark.parametrize(("behaviour", "expected"), [("at-most-one", 1), ("any", 0)])
def test_several_recommendations_are_found_where_one_can_be_chosen(behaviour: str, expected: int) -> None:
    given = card(suggestions=suggestions(True, True), selectionBehavior=behaviour)
    assert len(found(reply({"cards": [given]}))) == expected


@pytest.mark.conforms("C43")
@pytest.mark.parametrize(
    "body", [{"error": "no"}, {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}, [1]]
)
def test_an_error_without_an_operation_outcome_is_found(body: Any) -> None:
    assert found(reply(body, status=500))
    assert found(reply(body, status=404, path="/elsewhere", method="GET"))


@pytest.mark.conforms("C43")
def test_an_error_with_an_operation_outcome_is_fine() -> None:
    body = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}
    assert found(reply(body, status=400)) == []


@pytest.mark.conforms("C111")
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("name", CORS)
def test_a_missing_cors_header_is_found_on_errors_too(name: str, status: int) -> None:
    given = reply({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x"}]}, status=status)
    without = replace(given, headers={key: value for key, value in given.headers.items() if key != name})
    assert any(name in one for one in found(without))


@pytest.mark.conforms("C111")
def test_a_star_that_should_cover_authorization_and_one_with_credentials_are_found() -> None:
    assert len(found(reply({"cards": []}, Access_Control_Allow_Headers="*"))) == 1
    assert len(found(reply({"cards": []}, Access_Control_Allow_Credentials="true"))) == 1


# --- where it is asked -----------------------------------------------------------------------------------------------


def breaking_web() -> Flask:
    web = Flask("breaking")

    @web.post("/cds-services/x")
    def call() -> Response:
        return Response('{"cards":[{"summary":""}]}', mimetype="application/json", headers=CORS)

    return web


def in_process() -> None:
    breaking_web().test_client().post("/cds-services/x", json={})


def by_a_socket() -> None:
    server = make_server("127.0.0.1", 0, breaking_web())
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    try:
        requests.post(f"http://127.0.0.1:{server.port}/cds-services/x", json={}, timeout=5)
    finally:
        thread.join(timeout=5)
        server.server_close()


@pytest.mark.parametrize("how", [in_process, by_a_socket])
def test_no_test_gets_a_breaking_reply_unnoticed(how: Callable[[], None]) -> None:
    with pytest.raises(AssertionError, match=r"cards\[0\]\.summary is empty"):
        how()
