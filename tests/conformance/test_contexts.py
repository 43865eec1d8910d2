"""The contexts of the hooks that are not about orders (J1, J6, J7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import PATIENT, order_sign, post

USER: Final = {"userId": "Practitioner/example", "patientId": PATIENT}
APPOINTMENT: Final = {
    "resourceType": "Appointment",
    "id": "proposed",
    "status": "proposed",
    "description": "Tarlatamab infusion",
    "start": "2026-01-27T10:00:00Z",
    "end": "2026-01-27T11:00:00Z",
    "participant": [{"actor": {"reference": f"Patient/{PATIENT}"}, "status": "needs-action"}],
}
BOOKING: Final = {"appointments": {"resourceType": "Bundle", "entry": [{"resource": APPOINTMENT}]}}


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A hook with a context of everything it can hold."""

    name: str
    required: Mapping[str, Any]
    optional: Mapping[str, Any]

    def call(self, **context: Any) -> dict[str, Any]:
        members = {**self.required, **self.optional, **context}
        kept = {name: value for name, value in members.items() if value is not ...}
        return order_sign(hook=self.name, context=kept)


HOOKS: Final = (
    Hook(name="patient-view", required=USER, optional={"encounterId": "e1"}),
    Hook(name="encounter-discharge", required={**USER, "encounterId": "e1"}, optional={}),
    Hook(name="appointment-book", required={**USER, **BOOKING}, optional={"encounterId": "e1"}),
)


def each(fields: str) -> list[Any]:
    """Each hook with each of its required or optional fields."""
    return [pytest.param(hook, name, id=f"{hook.name}-{name}") for hook in HOOKS for name in getattr(hook, fields)]


@pytest.mark.conforms("J1", "J6", "J7")
@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook.name))
def test_a_full_context_is_answered(client: FlaskClient, hook: Hook) -> None:
    assert post(client, hook.call()).status_code == 200


@pytest.mark.conforms("J1", "J6", "J7")
@pytest.mark.parametrize(("hook", "field"), each("required"))
def test_a_context_without_a_required_field_is_refused_by_its_name(client: FlaskClient, hook: Hook, field: str) -> None:
    response = post(client, hook.call(**{field: ...}))
    assert response.status_code == 400
    assert f"context.{field}: required, and missing" in response.text


@pytest.mark.conforms("J1", "J7")
@pytest.mark.parametrize(("hook", "field"), each("optional"))
def test_a_context_without_an_optional_field_gets_the_same_answer(client: FlaskClient, hook: Hook, field: str) -> None:
    assert post(client, hook.call(**{field: ...})).data == post(client, hook.call()).data


@pytest.mark.conforms("J1", "J6", "J7")
@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook.name))
def test_a_call_of_another_hook_is_refused(client: FlaskClient, hook: Hook) -> None:
    call = hook.call() | {"hook": "order-sign"}
    assert client.post(f"/cds-services/tarlatamab-{hook.name}", json=call).status_code == 400
