"""JSON in and out: lossless decimals, honest absences, and nothing empty on the way out."""

import json
import string
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cds_service import wire
from cds_service.errors import RequestError

SOURCE = wire.Source(label="Imdelltra US PI 2025-11, Table 4")


def a_card(**changes: Any) -> wire.Card:
    return wire.Card(**({"summary": "Restart at 1 mg.", "indicator": "critical", "source": SOURCE} | changes))


def a_call(**changes: Any) -> bytes:
    call = {
        "hook": "order-sign",
        "hookInstance": "1",
        "context": {"userId": "Practitioner/1", "patientId": "p1", "draftOrders": {"resourceType": "Bundle"}},
    }
    return json.dumps(call | changes).encode()


# --- in -----------------------------------------------------------------------------------------------------


def test_a_decimal_keeps_the_digits_it_was_sent_with() -> None:
    assert str(wire.decode(b'{"dose": 1.50}')["dose"]) == "1.50"
    assert str(wire.decode(b'{"dose": 5.00}')["dose"]) == "5.00"


def test_a_number_of_64_digits_is_read_and_one_of_66_stays_a_text() -> None:
    assert wire.decode(b'{"a": 1e64}')["a"] == Decimal("1e64")
    assert wire.decode(b'{"a": 1e65}')["a"] == "1e65"
    assert wire.decode(b'{"a": 1e-65}')["a"] == "1e-65"


@pytest.mark.parametrize(
    ("member", "path"),
    [
        (b'"hookInstance": "1"', "hookInstance"),
        (b'"userId": "Practitioner/1"', "context.userId"),
        (b'"patientId": "p1"', "context.patientId"),
    ],
)
def test_a_number_beyond_reason_is_no_text_where_a_text_belongs(member: bytes, path: str) -> None:
    name = member.partition(b":")[0]
    with pytest.raises(RequestError, match=f"^{path}: must be a text$"):
        wire.read_request(a_call().replace(member, name + b": 1e65"), "order-sign")
    wire.read_request(a_call().replace(member, name + b': "1e65"'), "order-sign")


def test_a_whole_number_beyond_64_bits_goes_out_as_it_came() -> None:
    resource = wire.decode(b'{"resourceType":"Basic","a":18446744073709551616}')
    action = wire.Action(type="update", description="x", resource=resource)
    card = a_card(suggestions=(wire.Suggestion(label="x", actions=(action,)),), selection_behavior="any")
    assert b'"a":18446744073709551616' in wire.encode(wire.CdsResponse(cards=(card,)))


def test_nesting_that_no_chart_has_is_refused() -> None:
    wire.decode(b'{"a":' * 100 + b"1" + b"}" * 100)
    with pytest.raises(RequestError, match="nested too deeply"):
        wire.decode(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":":b"}',
        b'{"a\\"":1}',
        b'{"a" :1}',
        b'{"a\\\\":1}',
        b'{"a":"\\":"}',
        b'{"a":{"b":1},"c":{"b":1}}',
        b'{"a\n":1}',
    ],
)
def test_valid_json_without_duplicates_is_never_called_a_duplicate(body: bytes) -> None:
    try:
        expected = json.loads(body)
    except ValueError:
        with pytest.raises(RequestError, match="not valid JSON"):
            wire.decode(body)
    else:
        assert wire.decode(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a" :1,"a":":"}',
        b'{"x":[{"a":1,"b":":c","a":2}]}',
        b'{"a\\":":1,"b":2,"b":3}',
        b'{"a":1,"\\u0061":2}',
        b'{"a\\u0022:":1,"b":2,"b":3}',
        b'{"a":"\\u003a","b":2,"b":3}',
        b'{"a" :1,"b":2,"b":3}',
    ],
)
def test_a_key_that_stands_twice_is_refused_however_it_is_written(body: bytes) -> None:
    with pytest.raises(RequestError, match="stands twice"):
        wire.decode(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(alphabet=string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='ab":\\ ,{', max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(alphabet='ab":\\ ,{', max_size=4), json_values, max_size=4), st.sampled_from([None, 1]))
def test_whatever_json_holds_it_is_read_as_it_is(value: dict[str, Any], indent: int | None) -> None:
    assert wire.decode(json.dumps(value, indent=indent).encode()) == value


@given(st.binary(max_size=40))
def test_whatever_bytes_come_the_refusal_is_ours(body: bytes) -> None:
    with suppress(RequestError):
        wire.decode(body)


@pytest.mark.conforms("C33", "C34")
def test_a_prefetch_key_that_is_null_is_kept_apart_from_one_that_is_absent() -> None:
    call = wire.read_request(a_call(prefetch={"conditions": None}), "order-sign")
    assert "conditions" in call.prefetch
    assert call.prefetch["conditions"] is None
    assert "procedures" not in call.prefetch


def test_one_entry_of_the_draft_orders_may_stand_without_its_list() -> None:
    entry = {"resource": {"resourceType": "MedicationRequest"}}
    context = {"userId": "Practitioner/1", "patientId": "p1", "draftOrders": {"resourceType": "Bundle", "entry": entry}}
    call = wire.read_request(a_call(context=context), "order-sign")
    assert call.context.drafts() == (entry,)


def test_a_patient_id_with_its_type_is_taken_as_bare() -> None:
    context = {"userId": "Practitioner/1", "patientId": "Patient/p1", "draftOrders": {"entry": None}}
    call = wire.read_request(a_call(context=context), "order-sign")
    assert call.context.patient_id == "p1"
    assert call.context.drafts() == ()


def test_cards_may_be_about_all_drafts_to_be_signed_and_about_the_selected_ones() -> None:
    assert wire.read_request(a_call(), "order-sign").context.selected() is None
    context = json.loads(a_call())["context"] | {"selections": ["MedicationRequest/1"]}
    call = wire.read_request(a_call(hook="order-select", context=context), "order-select")
    assert call.context.selected() == frozenset({"MedicationRequest/1"})


@pytest.mark.conforms("C53", "C54")
@pytest.mark.parametrize(
    "authorization",
    [
        {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "s", "subject": "x", "patient": "p1"},
        {"access_token": "t", "token_type": "bearer", "expires_in": "300"},
        {"access_token": "t"},
    ],
)
def test_a_token_is_kept_for_its_server_and_never_shown(authorization: dict[str, Any]) -> None:
    call = wire.read_request(
        a_call(fhirServer="https://ehr.example/fhir", fhirAuthorization=authorization), "order-sign"
    )
    assert call.fhir_authorization is not None
    assert call.fhir_authorization.access_token.get_secret_value() == "t"
    assert repr(call) == "OrderSignRequest()"
    assert repr(call.fhir_authorization) == "FhirAuthorization()"


@pytest.mark.conforms("C53")
def test_a_token_without_a_server_to_send_it_to_is_dropped() -> None:
    call = wire.read_request(a_call(fhirAuthorization={"access_token": "t"}), "order-sign")
    assert call.fhir_authorization is None


@pytest.mark.parametrize(
    "authorization",
    ["t", 1, {}, {"access_token": ""}, {"access_token": "a\r\nb"}, {"access_token": "t", "token_type": "MAC"}],
)
def test_an_authorization_that_cannot_be_sent_is_the_same_as_none(authorization: object) -> None:
    call = wire.read_request(
        a_call(fhirServer="https://ehr.example/fhir", fhirAuthorization=authorization), "order-sign"
    )
    assert call.fhir_authorization is None


# --- out ----------------------------------------------------------------------------------------------------


def test_an_answer_without_cards_is_an_empty_list() -> None:
    assert wire.encode(wire.CdsResponse(cards=())) == b'{"cards":[]}'


@pytest.mark.conforms("C2")
def test_nothing_empty_goes_out() -> None:
    advice = wire.Advice(
        topic="dose",
        action="wait",
        rows=("DOSE-1",),
        expected=(wire.Expected(order="MedicationRequest/1"),),
        as_of=date(2026, 1, 20),
        knowledge="tarlatamab 2026.1",
    )
    card = a_card(extension=wire.CardExtension(advice=advice))
    assert json.loads(wire.encode(wire.CdsResponse(cards=(card,)))) == {
        "cards": [
            {
                "summary": "Restart at 1 mg.",
                "indicator": "critical",
                "source": {"label": "Imdelltra US PI 2025-11, Table 4"},
                "extension": {
                    "org.tarlatamab-cds.advice": {
                        "topic": "dose",
                        "action": "wait",
                        "rows": ["DOSE-1"],
                        "expected": [{"order": "MedicationRequest/1"}],
                        "asOf": "2026-01-20",
                        "knowledge": "tarlatamab 2026.1",
                    }
                },
            }
        ]
    }


@pytest.mark.conforms("C2", "C76")
def test_a_resource_handed_back_is_as_it_came_decimals_and_empty_parts_too() -> None:
    resource = {"resourceType": "MedicationRequest", "note": [], "dose": wire.decode(b'{"a":5.00}')["a"]}
    action = wire.Action(type="update", description="Change the dose", resource=resource)
    card = a_card(suggestions=(wire.Suggestion(label="1 mg", actions=(action,)),), selection_behavior="any")
    assert b'"resource":{"resourceType":"MedicationRequest","note":[],"dose":5.00}' in wire.encode(
        wire.CdsResponse(cards=(card,))
    )


@pytest.mark.conforms("C61")
def test_a_summary_of_139_characters_fits_and_of_140_does_not() -> None:
    a_card(summary="x" * 139)
    with pytest.raises(ValidationError):
        a_card(summary="x" * 140)


@pytest.mark.conforms("C62", "C63", "C69", "C70", "C74", "C75", "C77", "C80", "C81", "C85")
@pytest.mark.parametrize(
    "build",
    [
        lambda: a_card(summary=" "),
        lambda: a_card(indicator="hard-stop"),
        lambda: a_card(other="x"),
        lambda: a_card(suggestions=(wire.Suggestion(label="x"),)),
        lambda: a_card(
            suggestions=(wire.Suggestion(label="x", is_recommended=True),) * 2, selection_behavior="at-most-one"
        ),
        lambda: wire.Source(label=""),
        lambda: wire.Topic(system="https://a.example/x", code="no blanks"),
        lambda: wire.Action(type="create", description="x"),
        lambda: wire.Action(type="delete", description="x"),
        lambda: wire.Action(type="delete", description="x", resource_id="MedicationRequest/1", resource={}),
        lambda: wire.Action(type="delete", description="x", resource_id="Task/1", resource="Task/1"),
        lambda: wire.Action(type="delete", description="x", resource="no reference"),
        lambda: wire.Action(type="update", description="x", resource="Task/1"),
        lambda: wire.Action(type="create", description="x", resource={"resourceType": "Task"}, resource_id="Task/1"),
        lambda: wire.Link(label="x", url="ftp://a.example"),
        lambda: wire.Link(label="x", url="https://a.example", app_context="x"),
        lambda: wire.OperationOutcome(issue=()),
    ],
)
def test_a_card_that_breaks_the_specification_cannot_be_built(build: Any) -> None:
    with pytest.raises(ValidationError):
        build()


def test_a_full_card_passes_the_schema_of_the_specification() -> None:
    schema = json.loads((Path(__file__).parent / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
    uuid = "30327687-2c1c-4f23-b485-15629c26d280"
    card = a_card(
        uuid=uuid,
        detail="**Why**: 15 days",
        source=wire.Source(
            label="Label", url="https://a.example", topic=wire.Topic(system="https://a.example/r", code="R2")
        ),
        suggestions=(
            wire.Suggestion(
                label="Cancel",
                uuid=uuid,
                is_recommended=True,
                actions=(wire.Action(type="delete", description="Cancel", resource_id="MedicationRequest/1"),),
            ),
        ),
        selection_behavior="any",
        override_reasons=(wire.OverrideReason(code="x", system="https://a.example/o", display="Reason"),),
        links=(wire.Link(label="Label", url="https://a.example"),),
    )
    jsonschema.validate(wire.as_json(wire.CdsResponse(cards=(card,))), schema | {"$ref": "#/$defs/response"})
