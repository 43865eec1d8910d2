"""Discovery and the prefetch templates in it, as a client reads them (sections B, C and J of the checklist)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from cds_service.services import Knowledge
from cds_service.web import create_web

ALLOWED_TOKENS: Final = {
    "patient-view": {"userId", "patientId", "encounterId"},
    "order-select": {"userId", "patientId", "encounterId"},
    "order-sign": {"userId", "patientId", "encounterId"},
    "encounter-start": {"userId", "patientId", "encounterId"},
    "encounter-discharge": {"userId", "patientId", "encounterId"},
    "appointment-book": {"userId", "patientId", "encounterId"},
}
"""The fields of a hook's context that may stand in a template (cds-hooks-library)."""

PORTABLE: Final = {"patient", "subject", "category", "code", "date", "status", "_count", "_sort"}
"""Search parameters that every client resolves: references, tokens, dates, and the two for results."""


@pytest.fixture
def discovery(client: FlaskClient) -> list[dict[str, Any]]:
    listed = json.loads(client.get("/cds-services").data)
    return list(listed["services"])


@pytest.fixture
def templates(discovery: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Hook and template, for each template of each service."""
    found = [(service["hook"], query) for service in discovery for query in service["prefetch"].values()]
    assert found
    return found


def parameters(template: str) -> list[tuple[str, str]]:
    """Names and values of a search, in their order; none of a read."""
    _, _, query = template.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    return [(name, value) for name, _, value in pairs]


# --- B ---------------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C8")
def test_a_service_with_nothing_to_offer_answers_with_an_empty_list() -> None:
    web = create_web((), knowledge=Knowledge(markdown="", data={}), max_body_bytes=1000)
    response = web.test_client().get("/cds-services")
    assert (response.status_code, response.data) == (200, b'{"services":[]}')


@pytest.mark.conforms("C9", "C10", "C14")
def test_each_service_says_what_it_is_and_what_it_needs(discovery: list[dict[str, Any]]) -> None:
    for service in discovery:
        for name in ("hook", "id", "title", "description", "usageRequirements"):
            assert isinstance(service[name], str), name
            assert service[name].strip(), name


@pytest.mark.conforms("C11")
def test_each_id_is_one_segment_of_an_address_and_answers_there(
    client: FlaskClient, discovery: list[dict[str, Any]]
) -> None:
    for service in discovery:
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", service["id"])
        assert client.post(f"/cds-services/{service['id']}", json={}).status_code == 400


@pytest.mark.conforms("C12")
def test_each_hook_has_a_service_id_of_its_own(discovery: list[dict[str, Any]]) -> None:
    ids = [service["id"] for service in discovery]
    assert len(set(ids)) == len(ids)
    assert len({service["hook"] for service in discovery}) == len(ids)


@pytest.mark.conforms("C13")
def test_prefetch_is_an_object_of_texts(discovery: list[dict[str, Any]]) -> None:
    for service in discovery:
        assert service["prefetch"]
        assert all(isinstance(query, str) and query for query in service["prefetch"].values())


@pytest.mark.conforms("C15")
def test_discovery_has_no_member_that_version_2_does_not_know(discovery: list[dict[str, Any]]) -> None:
    known = {"hook", "title", "description", "id", "prefetch", "usageRequirements", "extension"}
    assert all(service.keys() <= known for service in discovery)


@pytest.mark.conforms("C17")
def test_discovery_is_open_and_a_token_on_it_changes_nothing(client: FlaskClient) -> None:
    without = client.get("/cds-services")
    with_token = client.get("/cds-services", headers={"Authorization": "Bearer e30.e30.c2ln"})
    assert (without.status_code, with_token.status_code) == (200, 200)
    assert without.data == with_token.data


@pytest.mark.conforms("C117")
def test_each_hook_is_a_standard_one_or_named_for_a_domain(discovery: list[dict[str, Any]]) -> None:
    for service in discovery:
        assert service["hook"] in ALLOWED_TOKENS or "." in service["hook"]


# --- C ---------------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C20")
def test_each_template_is_a_relative_read_or_a_search_of_one_type(templates: list[tuple[str, str]]) -> None:
    for _, template in templates:
        assert re.fullmatch(r"[A-Z][A-Za-z]+(/\{\{[^{}]+\}\}|\?\S+)", template), template


@pytest.mark.conforms("C21", "C25", "C26", "C28")
def test_each_token_is_a_field_of_the_context_and_nothing_else(templates: list[tuple[str, str]]) -> None:
    tokens = [token for _, template in templates for token in re.findall(r"\{\{(.*?)\}\}", template)]
    assert len(tokens) == len(templates)
    assert all(re.fullmatch(r"context\.[A-Za-z]+", token) for token in tokens)


@pytest.mark.conforms("C22")
def test_each_token_is_one_that_its_hook_allows(templates: list[tuple[str, str]]) -> None:
    for hook, template in templates:
        assert set(re.findall(r"\{\{context\.(\w+)\}\}", template)) <= ALLOWED_TOKENS[hook]


@pytest.mark.conforms("C24")
def test_no_template_puts_a_type_before_the_user(templates: list[tuple[str, str]]) -> None:
    assert not [template for _, template in templates if re.search(r"\w/\{\{context\.userId", template)]


@pytest.mark.conforms("C28")
def test_the_keys_keep_the_order_they_were_written_in(client: FlaskClient) -> None:
    ordered = json.loads(client.get("/cds-services").data, object_pairs_hook=list)
    (services,) = [value for name, value in ordered if name == "services"]
    keys = [name for name, _ in dict(services[0])["prefetch"]]
    assert keys[:2] == ["patient", "conditions"]
    assert keys != sorted(keys)


@pytest.mark.conforms("C29")
def test_each_parameter_is_one_that_every_client_resolves(templates: list[tuple[str, str]]) -> None:
    for _, template in templates:
        assert {name for name, _ in parameters(template)} <= PORTABLE, template


@pytest.mark.conforms("C30")
def test_no_parameter_stands_twice(templates: list[tuple[str, str]]) -> None:
    for _, template in templates:
        names = [name for name, _ in parameters(template)]
        assert len(set(names)) == len(names), template


@pytest.mark.conforms("C31")
def test_what_is_sorted_or_counted_is_so_in_fhirs_own_words(templates: list[tuple[str, str]]) -> None:
    for _, template in templates:
        for name, value in parameters(template):
            assert name != "_sort" or value == "-date"
            assert name != "_count" or value.isdigit()
            assert ":" not in name
