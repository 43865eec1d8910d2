"""The rules in force as FHIR R4: what a program reads that wants to know what stands behind a card.

A Bundle holds a Library (what belongs together), a PlanDefinition for each service (its hook as the trigger, an action
for each table and in it one for each row), the CodeSystem of the rows (a card's `source.topic` is one of them), and the
ValueSets by which records are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from cds_service import wire
from cds_service.cards import ROW_SYSTEM, is_of_the_label
from cds_service.errors import KnowledgeError
from cds_service.knowledge.regimen import Hit, Regimen, Row, Table
from cds_service.knowledge.sign_off import cite_text, columns_text, review_text, state_text, unreviewed, words
from fhir_mappings.terminology import value_set_resources

BASE: Final = "https://tarlatamab-cds.example.org"
LIBRARY: Final = "knowledge"
PUBLISHER: Final = "tarlatamab-cds"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
SELECTION: Final[Mapping[Hit, str]] = {Hit.UNIQUE: "exactly-one", Hit.FIRST: "at-most-one", Hit.COLLECT: "any"}

Resource = dict[str, Any]


def as_fhir(regimen: Regimen, services: Sequence[wire.Service], accepted_by: str = "") -> Resource:
    """The collection Bundle of the knowledge in force."""
    tables = [_table(table, regimen) for table in regimen.tables.values() if table.rows]
    plans = [_plan(service, tables, regimen, accepted_by) for service in services]
    parts = [*plans, _rows(regimen, accepted_by), *map(dict, value_set_resources())]
    parts = [_library(regimen, parts, accepted_by), *parts]
    entries = [{"fullUrl": part["url"], "resource": part} for part in parts]
    return {"resourceType": "Bundle", "id": LIBRARY, "type": "collection", "entry": entries}


def require_valid(bundle: Mapping[str, Any]) -> None:
    """Is what was made of a knowledge file FHIR? Costs a start 0.2 s and 3 MB: of the packaged file the tests ask it.

    One PlanDefinition is asked for all: they differ in what the services say of themselves. The ValueSets are ours.
    Raises: KnowledgeError where a text of the knowledge cannot stand in a FHIR resource.
    """
    by_type = {entry["resource"]["resourceType"]: entry["resource"] for entry in bundle["entry"]}
    for kind in ("Library", "CodeSystem", "PlanDefinition"):
        try:
            get_fhir_model_class(kind).model_validate(by_type[kind])
        except ValidationError as error:
            places = ", ".join(wire.json_path(found["loc"]) for found in error.errors(include_input=False)[:3])
            raise KnowledgeError(f"it cannot be written as FHIR: {kind}.{places}") from None


def _definition(kind: str, name: str, regimen: Regimen, accepted_by: str) -> Resource:
    """What every definition says of itself. Its version is the one that cards name in `knowledge`."""
    return {
        "resourceType": kind,
        "id": name,
        "url": f"{BASE}/{kind}/{name}",
        "version": regimen.version,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "status": "draft" if unreviewed(regimen) else "active",
        "date": regimen.last_checked_against_label_on,
        "publisher": PUBLISHER,
        "description": f"Sources {regimen.sources.value}. {state_text(regimen, accepted_by)}",
    }


def _library(regimen: Regimen, parts: Iterable[Resource], accepted_by: str) -> Resource:
    values = {**regimen.doses, **regimen.numbers}
    return {
        **_definition("Library", LIBRARY, regimen, accepted_by),
        "extension": [_named(name, str(value)) for name, value in values.items()],
        "title": f"{regimen.name} ({regimen.drug}): the rules in force",
        "type": {"coding": [{"system": f"{TERMINOLOGY}/library-type", "code": "asset-collection"}]},
        "relatedArtifact": [
            {"type": "citation", "display": regimen.label, "url": regimen.label_url},
            *({"type": "composed-of", "resource": part["url"]} for part in parts),
        ],
    }


def _named(name: str, value: str) -> Resource:
    """A dose or number of the knowledge."""
    named = [{"url": "name", "valueString": name}, {"url": "value", "valueString": value}]
    return {"url": f"{BASE}/StructureDefinition/number", "extension": named}


def _rows(regimen: Regimen, accepted_by: str) -> Resource:
    concepts = [
        {"code": row.id, "display": _leading(row), "definition": _when(row, table)} for row, table in _all(regimen)
    ]
    return {
        **_definition("CodeSystem", ROW_SYSTEM.rpartition("/")[2], regimen, accepted_by),
        "url": ROW_SYSTEM,
        "title": "The rows of the knowledge",
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "concept": concepts,
    }


def _all(regimen: Regimen) -> Iterable[tuple[Row, Table]]:
    return ((row, table) for table in regimen.tables.values() for row in table.rows)


def _plan(service: wire.Service, tables: Sequence[Resource], regimen: Regimen, accepted_by: str) -> Resource:
    definition = _definition("PlanDefinition", service.id, regimen, accepted_by)
    return {
        **definition,
        "description": f"{service.description} {definition['description']}",
        "title": service.title,
        "type": {"coding": [{"system": f"{TERMINOLOGY}/plan-definition-type", "code": "eca-rule"}]},
        "library": [f"{BASE}/Library/{LIBRARY}"],
        "action": [
            {
                "title": service.title,
                "trigger": [{"type": "named-event", "name": service.hook}],
                "action": tables,
            }
        ],
    }


def _table(table: Table, regimen: Regimen) -> Resource:
    return {
        "id": table.name.replace("_", "-"),
        "title": words(table.name).capitalize(),
        "description": table.question,
        "groupingBehavior": "logical-group",
        "selectionBehavior": SELECTION[table.hit],
        "action": [_row(row, table, regimen) for row in table.rows],
    }


def _row(row: Row, table: Table, regimen: Regimen) -> Resource:
    when, then = columns_text(row, table.inputs), columns_text(row, table.outputs)
    action = {
        "id": row.id,
        "extension": [{"url": f"{BASE}/StructureDefinition/review", "valueString": review_text(row)}],
        "title": _leading(row),
        "description": "\n".join((*row.say.values(), *row.detail)),
        "textEquivalent": f"{_when(row, table)}: {then or 'nothing further'}.",
        "code": [{"coding": [{"system": ROW_SYSTEM, "code": row.id}]}],
        "documentation": [_citation(row, regimen)],
    }
    if when:
        applies = {"kind": "applicability", "expression": {"language": "text/plain", "expression": when}}
        action["condition"] = [applies]
    return action


def _leading(row: Row) -> str:
    """The sentence that a card of this row begins with, its slots open."""
    return row.say.get("summary") or next(iter(row.say.values()), row.id)


def _when(row: Row, table: Table) -> str:
    return f"When {when}" if (when := columns_text(row, table.inputs)) else "Always"


def _citation(row: Row, regimen: Regimen) -> Resource:
    """The row's sources in words, and where the label says it, the label's address."""
    artifact = {"type": "citation", "label": row.origin.value, "citation": cite_text(row)}
    if is_of_the_label(row, regimen):
        artifact |= {"display": f"{regimen.label}, {row.cite.label}", "url": regimen.label_url}
    return artifact
