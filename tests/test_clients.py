"""Client profiles: what a file may say, and whole calls as each client understands them."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import jsonschema
import pytest
from pydantic.fields import FieldInfo

from app import build
from cds_service.clients import Caller, Client, Profile, load, parse
from cds_service.errors import SettingError
from cds_service.settings import read_settings
from tests.support.hostile_server import answers, hostile_server
from tests.test_fhir_content import problems
from tests.vignettes.build import Case, load_vignettes

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = json.loads((ROOT / "tests" / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
EXAMPLES: Final = sorted((ROOT / "examples").glob("clients-*.yaml"))
Json = dict[str, Any]
KEYS: Final = {"keys": [{"kty": "EC", "kid": "one", "crv": "P-384", "x": "x", "y": "y"}]}
AUTHORIZATION: Final = {
    "access_token": "a-token",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "patient/*.rs",
    "subject": "cds-service",
}

# --- the file ----------------------------------------------------------------------------------------------------

SMALLEST: Final = """\
clients:
  - name: Example EHR
    iss: https://ehr.example/oauth2
    jwks_url: https://ehr.example/jwks.json
"""


def with_line(line: str) -> str:
    return f"{SMALLEST}    {line}\n"


def refused(text: str, *, demo: bool = False) -> str:
    with pytest.raises(SettingError) as error:
        parse(text, "clients.yaml", demo=demo)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_not_set_has_the_defaults_of_the_contract() -> None:
    (client,) = parse(SMALLEST, "clients.yaml", demo=False)
    assert client == Client(
        name="Example EHR",
        iss="https://ehr.example/oauth2",
        jwks_url="https://ehr.example/jwks.json",
        jwks=None,
        algorithms=("ES384", "RS384"),
        audience_aliases=(),
        tenants=(),
        fhir_servers=(),
        cors_origins=(),
        timezone=None,
        spec_version="2.0",
        selection_behavior="any",
        actions_per_suggestion="many",
        system_actions="off",
    )


def as_documented(field: FieldInfo) -> str:
    """The default of a key as the table in the documentation shows it."""
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(field.default)}]`"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def choices_of(annotation: Any) -> set[str]:
    """The words of a key that takes no others, also within lists and optional ones."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {word for part in get_args(annotation) for word in choices_of(part)}


def test_the_documentation_has_each_key_of_a_client_with_its_default_and_its_choices_and_no_other() -> None:
    section = re.split(r"^## ", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (profiles,) = [part for part in section if part.startswith("Client profiles\n")]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", profiles, re.MULTILINE)
    assert {key: unset for key, unset, _ in rows} == {
        key: as_documented(field) for key, field in Client.model_fields.items()
    }
    assert len(rows) == len(Client.model_fields)
    for key, _, says in rows:
        choices = choices_of(Client.model_fields[key].annotation)
        assert {f"`{word}`" for word in choices} <= set(re.findall("`.+?`", says)), key
    assert choices_of(Client.model_fields["spec_version"].annotation) == {"1.0", "1.1", "2.0", "3.0"}


def test_the_example_of_the_contract_is_read_whole() -> None:
    text = """\
clients:
  - name: Example EHR
    iss: https://ehr.example/oauth2
    jwks: {keys: [{kty: EC, kid: "1"}]}
    algorithms: [ES384, RS384]
    audience_aliases: [https://other.example]
    tenants: [a, b]
    fhir_servers: [https://ehr.example/fhir]
    cors_origins: [https://ehr.example]
    spec_version: 1.1
    selection_behavior: at-most-one
    actions_per_suggestion: one
    system_actions: on
    timezone: Europe/Vienna
"""
    (client,) = parse(text, "clients.yaml", demo=False)
    assert client.jwks == {"keys": [{"kty": "EC", "kid": "1"}]}
    assert (client.spec_version, client.system_actions) == ("1.1", "on")  # plain YAML would read a number and true
    assert (client.selection_behavior, client.actions_per_suggestion) == ("at-most-one", "one")
    assert (client.tenants, client.fhir_servers) == (("a", "b"), ("https://ehr.example/fhir",))
    assert client.timezone is not None
    assert client.timezone.key == "Europe/Vienna"


@pytest.mark.parametrize(
    ("line", "place", "what"),
    [
        ("colour: blue", "clients.yaml:5 clients[0].colour", "Extra inputs are not permitted"),
        ("spec_version: 4.0", "clients.yaml:5 clients[0].spec_version", "'1.0', '1.1', '2.0' or '3.0'"),
        ("selection_behavior: all", "clients.yaml:5 clients[0].selection_behavior", "'any', 'at-most-one' or 'both'"),
        ("actions_per_suggestion: two", "clients.yaml:5 clients[0].actions_per_suggestion", "'one' or 'many'"),
        ("system_actions: yes", "clients.yaml:5 clients[0].system_actions", "'off', 'on' or 'mirror'"),
        ("algorithms: [HS256]", "clients.yaml:5 clients[0].algorithms[0]", "'ES256'"),
        ("algorithms: []", "clients.yaml:5 clients[0].algorithms", "at least 1 item"),
        ("fhir_servers: [ftp://x]", "clients.yaml:5 clients[0].fhir_servers[0]", "should match"),
        ("fhir_servers: [http://x/fhir]", "clients.yaml:5 clients[0].fhir_servers[0]", "expected an https address"),
        ("timezone: Mars/Base", "clients.yaml:5 clients[0].timezone", "expected an IANA time zone"),
        ("jwks: {keys: [{kty: EC}]}", "clients.yaml:2 clients[0]", "expected jwks_url or jwks, one of them"),
        ("name: again", "clients.yaml:5", "'name' stands twice"),
        ("name: [", "clients.yaml:6", "is not readable YAML"),
    ],
)
def test_a_mistake_is_named_by_line_and_place_in_one_line(line: str, place: str, what: str) -> None:
    said = refused(with_line(line))
    assert said.startswith(f"CDS_CLIENTS: {place}")
    assert what in said


def test_a_client_needs_a_name_an_issuer_and_keys() -> None:
    assert "clients[0].iss: Field required" in refused("clients:\n  - {name: x, jwks_url: https://x.example/k}\n")
    assert "expected jwks_url or jwks" in refused("clients:\n  - {name: x, iss: y}\n")
    assert "expected {keys: [...]}" in refused("clients:\n  - {name: x, iss: y, jwks: {keys: []}}\n")
    assert "clients.yaml:1 clients: " in refused("clients: []\n")
    assert "clients.yaml:1 is empty" in refused("")
    assert "clients.yaml:1" in refused("- a\n")


def test_two_clients_cannot_be_one_issuer() -> None:
    assert "two clients have the same iss" in refused(SMALLEST + SMALLEST.removeprefix("clients:\n"))


def test_http_and_loopback_are_for_demonstrations() -> None:
    text = SMALLEST.replace("https://ehr.example/jwks.json", "http://127.0.0.1:9/jwks.json")
    assert parse(text, "clients.yaml", demo=True)[0].jwks_url == "http://127.0.0.1:9/jwks.json"
    assert "expected an https address" in refused(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none\.yaml cannot be read"):
        load(tmp_path / "none.yaml", demo=True)


def test_no_value_of_the_file_stands_in_an_error() -> None:
    assert "s3cret" not in refused(with_line("spec_version: s3cret"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_the_examples_are_valid(path: Path) -> None:
    assert len(load(path, demo=True)) == 1


@pytest.mark.conforms("C113")
def test_the_example_of_an_ehr_is_valid_for_production_and_that_of_the_sandbox_is_not() -> None:
    assert len(load(ROOT / "examples" / "clients-epic-like.yaml", demo=False)) == 1
    with pytest.raises(SettingError, match="the private key of the reference sandbox is public"):
        load(ROOT / "examples" / "clients-sandbox.yaml", demo=False)


# --- whole calls -------------------------------------------------------------------------------------------------


@cache
def vignette(name: str) -> Case:
    return next(case for case in load_vignettes() if case.id == name)


def answer(name: str, profile: Profile) -> Json:
    """The whole answer to a vignette's call, as this client gets it."""
    case = vignette(name)
    settings = {"CDS_NOW": case.now.isoformat(), "CDS_TIMEZONE": case.timezone, "CDS_SOURCES": case.sources}
    client = build(read_settings(settings), Caller(profile=profile)).test_client()
    response = client.post(f"/cds-services/{case.service}", json=case.request())
    assert response.status_code == 200
    body: Json = response.get_json()
    jsonschema.validate(body, SCHEMA_OF[profile.spec_version] | {"$ref": "#/$defs/response"})
    return body


def _schema_before_2() -> Json:
    """In 1.x what is to be deleted stands as a text in `resource` (C77)."""
    schema: Json = copy.deepcopy(SCHEMA)
    action = schema["$defs"]["action"]
    identity = action["properties"].pop("resourceId")
    action["properties"]["resource"] = {"anyOf": [{"$ref": "#/$defs/resource"}, identity]}
    action["allOf"][1]["then"] = {"required": ["resource"], "properties": {"resource": identity}}
    return schema


SCHEMA_OF: Final = {"1.0": _schema_before_2(), "1.1": _schema_before_2(), "2.0": SCHEMA, "3.0": SCHEMA}


def first(body: Json) -> Json:
    card: Json = body["cards"][0]
    return card


def actions(body: Json) -> list[Json]:
    return [a for card in body["cards"] for one in card.get("suggestions", []) for a in one["actions"]]


def example(name: str) -> Client:
    return load(ROOT / "examples" / f"clients-{name}.yaml", demo=True)[0]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_before_2_0_what_to_delete_is_a_text_in_resource(version: Any) -> None:
    (delete,) = [a for a in actions(answer("V5b", Profile(spec_version=version))) if a["type"] == "delete"]
    assert delete["resource"] == "MedicationRequest/v5b-draft-1"
    assert "resourceId" not in delete


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_from_2_0_on_what_to_delete_is_its_resource_id(version: Any) -> None:
    """C77."""
    (delete,) = [a for a in actions(answer("V5b", Profile(spec_version=version))) if a["type"] == "delete"]
    assert delete["resourceId"] == "MedicationRequest/v5b-draft-1"
    assert "resource" not in delete


def test_version_1_0_gets_nothing_that_came_later() -> None:
    body = answer("V5b", Profile(spec_version="1.0", system_actions="on"))
    assert "systemActions" not in body
    for card in body["cards"]:
        assert not {"uuid", "overrideReasons"} & card.keys()
        assert "topic" not in card["source"]
        assert card.get("selectionBehavior", "at-most-one") == "at-most-one"
        assert all("isRecommended" not in one for one in card.get("suggestions", []))


def test_version_1_1_has_topics_override_reasons_and_recommendations() -> None:
    card = first(answer("V5b", Profile(spec_version="1.1")))
    assert card["uuid"]
    assert card["overrideReasons"]
    assert card["source"]["topic"]["code"] == "R2"
    assert card["suggestions"][0]["isRecommended"] is True


@pytest.mark.parametrize("said", ["any", "at-most-one"])
def test_a_client_with_one_selection_behavior_always_gets_that(said: Any) -> None:
    """C69."""
    for name in ("V5b", "V4"):
        cards = answer(name, Profile(selection_behavior=said))["cards"]
        assert {c["selectionBehavior"] for c in cards if "suggestions" in c} == {said}


def test_a_client_with_both_chooses_one_of_alternatives_and_any_of_the_rest() -> None:
    restart, monitor = answer("V5b", Profile(selection_behavior="both"))["cards"]
    assert (restart["selectionBehavior"], monitor["selectionBehavior"]) == ("at-most-one", "any")


def test_where_one_can_be_chosen_one_is_recommended() -> None:
    """C70. Neurotoxicity grade 3 recommends the removal and the evaluation; of one choice only the first."""
    for said, expected in (("any", [True, True]), ("at-most-one", [True, None])):
        card = first(answer("V38a", Profile(selection_behavior=said)))
        assert [one.get("isRecommended") for one in card["suggestions"]] == expected


def test_a_client_of_one_action_gets_each_order_as_a_suggestion_of_its_own() -> None:
    many = first(answer("V4", Profile()))["suggestions"]
    one = first(answer("V4", Profile(actions_per_suggestion="one")))["suggestions"]
    assert [len(s["actions"]) for s in many] == [2]
    assert [s["label"] for s in one] == [
        "Order dexamethasone 8 mg IV for C1D8.",
        "Order 1 L normal saline IV for C1D8.",
    ]
    assert [a for s in one for a in s["actions"]] == many[0]["actions"]
    assert len({s["uuid"] for s in one}) == 2


def test_an_epic_like_client_sees_a_description_that_stands_alone() -> None:
    for name in ("V4", "V5b", "V14", "V38a", "V25b"):
        body = answer(name, example("epic-like"))
        assert actions(body)
        assert "systemActions" not in body
        for card in body["cards"]:
            assert card.get("selectionBehavior", "any") == "any"
            for one in card.get("suggestions", []):
                (action,) = one["actions"]
                assert one["label"].strip()
                assert len(action["description"].split()) >= 5


def test_the_sandbox_gets_its_system_actions_where_it_looks_for_them() -> None:
    body = answer("V5b", example("sandbox"))
    assert body["extension"] == {"systemActions": body["systemActions"]}
    (mark,) = body["systemActions"]
    (draft,) = [d for d in vignette("V5b").drafts() if d["id"] == "v5b-draft-1"]
    assert mark["type"] == "update"
    assert mark["description"]
    assert problems(mark["resource"]) == []
    assert {name: value for name, value in mark["resource"].items() if name != "extension"} == draft


def test_system_actions_come_only_to_those_who_take_them() -> None:
    """C84."""
    assert answer("V5b", Profile()).keys() == {"cards"}
    assert answer("V5b", Profile(system_actions="on")).keys() == {"cards", "systemActions"}
    assert answer("V5b", Profile(spec_version="1.0", system_actions="mirror")).keys() == {"cards", "extension"}


def test_an_order_still_being_written_is_not_marked_as_checked() -> None:
    name = next(c.id for c in load_vignettes() if c.hook == "order-select" and c.then)
    assert answer(name, Profile(system_actions="mirror")).keys() == {"cards"}


PROFILES: Final = {
    "default": Profile(),
    "1.0": Profile(spec_version="1.0"),
    "one and mirror": Profile(actions_per_suggestion="one", system_actions="mirror"),
    "3.0 and both": Profile(spec_version="3.0", selection_behavior="both"),
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_what_is_said_does_not_depend_on_the_client_and_a_retry_gets_the_same(profile: Profile) -> None:
    """C57."""
    for name in ("V4", "V5b", "V38a"):
        body, plain = answer(name, profile), answer(name, Profile())
        assert [(c["summary"], c["detail"], c["indicator"]) for c in body["cards"]] == [
            (c["summary"], c["detail"], c["indicator"]) for c in plain["cards"]
        ]
        assert actions(body) == actions(answer(name, profile))
        assert body == answer(name, profile)


def test_all_uuids_of_an_answer_are_different() -> None:
    for name in ("V3", "V4", "V5b", "V38a"):
        cards = answer(name, Profile(actions_per_suggestion="one"))["cards"]
        uuids = [c["uuid"] for c in cards] + [s["uuid"] for c in cards for s in c.get("suggestions", [])]
        assert len(set(uuids)) == len(uuids)


# --- what is read for a client -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "topics"),
    [
        ({}, ["NEURO-HOLD-G2"]),
        ({"search_texts": True}, ["NEURO-HOLD-G2"]),
        ({"search_texts": False}, ["OBS-2"]),
    ],
)
def test_a_grade_that_stands_in_a_text_is_searched_for_beside_a_whole_prefetch_unless_the_profile_forbids_it(
    profile: Json, topics: list[str]
) -> None:
    case = vignette("V109a")
    grade = {
        "resourceType": "Observation",
        "id": "ward-round",
        "status": "final",
        "code": {"text": "ICANS grade"},
        "valueString": "2",
        "subject": {"reference": f"Patient/{case.patient_id}"},
        "effectiveDateTime": "2026-02-10T08:00:00-05:00",
    }
    found = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": grade}]}
    settings = {"CDS_NOW": case.now.isoformat(), "CDS_TIMEZONE": case.timezone, "CDS_MODE": "demo"}
    known = Client(name="Example EHR", iss="https://ehr.example", jwks=KEYS, **profile)
    with hostile_server(Observation=answers(found)) as server:
        caller = replace(known.caller, fhir_servers=(server.url,))
        client = build(read_settings(settings), caller).test_client()
        body = case.request(fhir_server=server.url) | {"fhirAuthorization": AUTHORIZATION}
        response = client.post(f"/cds-services/{case.service}", json=body)
        assert len(server.asked) == (topics != ["OBS-2"])
    assert [card["source"]["topic"]["code"] for card in response.get_json()["cards"]] == topics
