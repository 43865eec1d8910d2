"""The rules as FHIR R4 on /knowledge: valid by both validators, complete, and where a card's source.topic leads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from flask.testing import FlaskClient

from app import build
from cds_service import fhir_knowledge, wire
from cds_service.errors import KnowledgeError, SettingError
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Regimen, Review, Sources
from cds_service.settings import read_settings
from tests.test_fhir_content import VALUE_SETS, problems

ROOT: Final = Path(__file__).parents[1]
FHIR: Final = "application/fhir+json"
BASE: Final = "https://tarlatamab-cds.example.org"
SERVICE: Final = wire.Service(hook="order-sign", id="a-service", title="A title", description="What it does.")


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()


@pytest.fixture(scope="module")
def bundle(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/knowledge", headers={"Accept": FHIR})
    assert response.status_code == 200
    assert response.mimetype == FHIR
    found: dict[str, Any] = json.loads(response.data)
    return found


def of_type(bundle: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part["resource"] for part in bundle["entry"] if part["resource"]["resourceType"] == kind]


def actions(plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every action of a plan, at any depth, by itself."""
    for action in plan.get("action", ()):
        yield action
        yield from actions(action)


def rows_of(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A plan's actions that are rows, by the code of the row."""
    return {action["code"][0]["coding"][0]["code"]: action for action in actions(plan) if "code" in action}


def fhir_of(regimen: Regimen, accepted_by: str = "") -> dict[str, Any]:
    return fhir_knowledge.as_fhir(regimen, (SERVICE,), accepted_by)


# --- form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (FHIR, FHIR),
        (f"{FHIR}, */*;q=0.1", FHIR),
        (f"text/html, {FHIR};q=0.5, application/json;q=0.4", "text/html"),  # a browser gets the page
        (f"text/html;q=0.4, {FHIR};q=0.5", FHIR),
        ("application/json", "application/json"),
        ("text/markdown", "text/markdown"),
        ("*/*", "text/markdown"),
        ("image/png", "text/markdown"),
        (None, "text/markdown"),
    ],
)
def test_the_form_is_the_one_that_is_accepted(client: FlaskClient, accept: str | None, expected: str) -> None:
    assert client.get("/knowledge", headers={"Accept": accept} if accept else {}).mimetype == expected


def test_both_validators_accept_the_bundle_and_each_resource(bundle: dict[str, Any]) -> None:
    assert bundle["resourceType"] == "Bundle"
    assert bundle["type"] == "collection"
    assert problems(bundle) == []
    for part in bundle["entry"]:
        assert problems(part["resource"]) == [], part["fullUrl"]


def test_every_resource_stands_under_its_own_url_once(bundle: dict[str, Any]) -> None:
    urls = [part["fullUrl"] for part in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    for part in bundle["entry"]:
        resource = part["resource"]
        assert part["fullUrl"] == resource["url"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"


def test_ids_of_actions_are_unique_in_their_plan(bundle: dict[str, Any]) -> None:
    for plan in of_type(bundle, "PlanDefinition"):
        ids = [action["id"] for action in actions(plan) if "id" in action]
        assert len(set(ids)) == len(ids)


def test_equal_knowledge_gives_equal_bytes(client: FlaskClient) -> None:
    again = build(read_settings({"CDS_NOW": "2031-06-01T09:00:00Z"})).test_client()
    headers = {"Accept": FHIR}
    assert again.get("/knowledge", headers=headers).data == client.get("/knowledge", headers=headers).data


def test_knowledge_that_cannot_be_fhir_is_refused_by_its_place() -> None:
    with pytest.raises(KnowledgeError, match=r"cannot be written as FHIR: Library\.date"):
        fhir_knowledge.require_valid(fhir_of(replace(loader.load(), last_checked_against_label_on="soon")))


@pytest.mark.parametrize("sources", list(Sources))
def test_the_packaged_knowledge_is_fhir_whoever_answers_for_it(sources: Sources) -> None:
    regimen = loader.load(sources=sources)
    for accepted_by in ("", "the pharmacy committee, 2026-11-02"):
        for part in fhir_of(regimen, accepted_by)["entry"]:
            assert problems(part["resource"]) == [], part["fullUrl"]


def test_a_file_of_their_own_that_cannot_be_fhir_ends_the_start(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    packaged = (ROOT / "cds_service/knowledge/tarlatamab.yaml").read_text(encoding="utf-8")
    line = "last_checked_against_label_on: "
    assert line in packaged
    own.write_text(re.sub(f"{line}.*", f"{line}soon", packaged), encoding="utf-8")
    with pytest.raises(SettingError, match=r"cannot be written as FHIR: Library\.date"):
        build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z", "CDS_KNOWLEDGE": str(own)}))


# --- content --------------------------------------------------------------------------------------------------------


def test_there_is_a_plan_for_each_service_with_its_hook_as_trigger(client: FlaskClient, bundle: dict[str, Any]) -> None:
    discovery = client.get("/cds-services").json
    assert discovery is not None
    plans = {plan["id"]: plan for plan in of_type(bundle, "PlanDefinition")}
    assert list(plans) == [service["id"] for service in discovery["services"]]
    for service in discovery["services"]:
        plan = plans[service["id"]]
        assert plan["title"] == service["title"]
        assert [action["trigger"] for action in plan["action"]] == [[{"type": "named-event", "name": service["hook"]}]]


@pytest.mark.parametrize("sources", list(Sources))
def test_every_row_in_force_is_an_action_under_its_table_and_no_other(sources: Sources) -> None:
    regimen = loader.load(sources=sources)
    (plan,) = of_type(fhir_of(regimen), "PlanDefinition")
    assert list(rows_of(plan)) == [row.id for row in regimen.rows()]
    tables = plan["action"][0]["action"]
    assert {table["id"]: [row["id"] for row in table["action"]] for table in tables} == {
        name.replace("_", "-"): [row.id for row in table.rows] for name, table in regimen.tables.items() if table.rows
    }


def test_a_row_says_its_condition_words_source_and_review(bundle: dict[str, Any]) -> None:
    row = rows_of(of_type(bundle, "PlanDefinition")[0])["R2"]
    assert row["id"] == "R2"
    assert row["title"] == "Restart at 1 mg: {days} since the 1 mg dose on {last_day}; the limit is 14 days."
    assert "If tolerated, give 10 mg one week later" in row["description"]
    assert row["condition"][0]["kind"] == "applicability"
    assert row["condition"][0]["expression"]["expression"] == "treatment doses 0; days since at least 15"
    assert row["textEquivalent"].startswith("When treatment doses 0; days since at least 15: restart; topic: dose;")
    (cited,) = row["documentation"]
    assert cited["type"] == "citation"
    assert cited["display"] == "Imdelltra US PI 2025-11, Table 4"
    assert cited["url"].startswith("https://dailymed.nlm.nih.gov/")
    assert cited["citation"].startswith("label: seed S3; Table 4; D-19;")
    assert row["extension"][0]["valueString"].startswith("none (")


def test_a_local_row_does_not_name_the_label_as_its_source() -> None:
    regimen = loader.load()
    local = [row for row in regimen.rows() if row.origin.value == "local"]
    assert local
    written = rows_of(of_type(fhir_of(regimen), "PlanDefinition")[0])
    for row in local:
        (cited,) = written[row.id]["documentation"]
        assert cited["label"] == "local"
        assert "url" not in cited


def test_a_row_without_a_condition_holds_always() -> None:
    regimen = loader.load()
    table = regimen.table("delay")
    free = replace(table.row("R1"), columns={"restart": False})
    changed = replace(regimen, tables={"delay": replace(table, rows=(free, table.row("R2")))})
    written = rows_of(of_type(fhir_of(changed), "PlanDefinition")[0])
    assert "condition" not in written["R1"]
    assert written["R1"]["textEquivalent"] == "Always: not restart."
    assert "condition" in written["R2"]


def test_the_value_sets_are_those_of_the_files(bundle: dict[str, Any]) -> None:
    files = [json.loads(path.read_text(encoding="utf-8")) for path in VALUE_SETS]
    assert of_type(bundle, "ValueSet") == files


def test_the_library_ties_everything_together_and_holds_doses_and_numbers(bundle: dict[str, Any]) -> None:
    (library,) = of_type(bundle, "Library")
    parts = [part["fullUrl"] for part in bundle["entry"] if part["resource"] is not library]
    assert [a["resource"] for a in library["relatedArtifact"] if a["type"] == "composed-of"] == parts
    assert library["version"] == "tarlatamab 2026.1"
    assert library["date"] == "2026-11-22"
    assert library["relatedArtifact"][0]["display"] == "Imdelltra US PI 2025-11"
    numbers = {e["extension"][0]["valueString"]: e["extension"][1]["valueString"] for e in library["extension"]}
    assert numbers["step"] == "1 mg"
    assert numbers["treatment"] == "10 mg"
    assert numbers["completed_from"] == "0.9"
    for plan in of_type(bundle, "PlanDefinition"):
        assert plan["library"] == [library["url"]]


def test_it_is_a_draft_while_a_row_is_not_reviewed_and_says_how_many() -> None:
    regimen = loader.load()
    count = len(regimen.rows())
    review = Review(who="The committee", when="2026-11-01", digest="d")
    signed = {
        name: replace(table, rows=tuple(replace(row, reviewed=review) for row in table.rows))
        for name, table in regimen.tables.items()
    }
    first = next(iter(signed))
    open_row = replace(signed[first], rows=(regimen.tables[first].rows[0], *signed[first].rows[1:]))
    one_open = replace(regimen, tables={**signed, first: open_row})
    for knowledge, status, said in (
        (regimen, "draft", f"{count} of {count} rows are not reviewed."),
        (one_open, "draft", f"1 of {count} rows are not reviewed. A name answers for them."),
        (replace(regimen, tables=signed), "active", f"0 of {count} rows are not reviewed."),
    ):
        bundle = fhir_of(knowledge, "A name" if knowledge is one_open else "")
        for kind in ("Library", "PlanDefinition", "CodeSystem"):
            for resource in of_type(bundle, kind):
                assert resource["status"] == status
                assert resource["description"].endswith(f"Sources seed+label. {said}")


# --- from a card to its row --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: str(path.stem))
def test_the_topic_of_a_card_leads_to_its_row_and_its_version_to_the_library(
    client: FlaskClient, bundle: dict[str, Any], path: Path
) -> None:
    call = json.loads(path.read_text(encoding="utf-8"))
    service = f"tarlatamab-{call['hook']}"
    answer = client.post(f"/cds-services/{service}", json=call).json
    assert answer is not None
    assert answer["cards"]
    (plan,) = [plan for plan in of_type(bundle, "PlanDefinition") if plan["id"] == service]
    (codes,) = of_type(bundle, "CodeSystem")
    (library,) = of_type(bundle, "Library")
    for card in answer["cards"]:
        topic = card["source"]["topic"]
        assert topic["system"] == codes["url"]
        assert topic["code"] in {concept["code"] for concept in codes["concept"]}
        row = rows_of(plan)[topic["code"]]
        assert row["code"][0]["coding"][0]["system"] == topic["system"]
        for other in card["extension"]["org.tarlatamab-cds.advice"]["rows"]:
            assert other in rows_of(plan)
        assert card["extension"]["org.tarlatamab-cds.advice"]["knowledge"] == library["version"]


def test_the_codes_of_the_rows_say_when_each_holds(bundle: dict[str, Any]) -> None:
    (codes,) = of_type(bundle, "CodeSystem")
    assert codes["count"] == len(codes["concept"]) == len(loader.load().rows())
    (limit,) = [concept for concept in codes["concept"] if concept["code"] == "R2"]
    assert limit["definition"] == "When treatment doses 0; days since at least 15"
