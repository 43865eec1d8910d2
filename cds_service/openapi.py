"""The endpoints described for programs: OpenAPI 3.1, made from the models that read the calls and write the answers.

A new endpoint is one entry of `endpoints`. What comes in is described as liberally as it is read, what goes out as
strictly as it is written; FHIR resources in either are objects, their own specification describes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from cds_service import wire

VERSION: Final = "0.1.0"
JSON: Final = "application/json"
FHIR_JSON: Final = "application/fhir+json"
MARKDOWN: Final = "text/markdown"
PLAIN: Final = "text/plain"
HTML: Final = "text/html"
SVG: Final = "image/svg+xml"
EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"
"""Beside the source; an installed package goes without."""

Schema: TypeAlias = Mapping[str, Any]
Body: TypeAlias = type[BaseModel] | Schema

TEXT: Final[Schema] = {"type": "string"}
OBJECT: Final[Schema] = {"type": "object"}
BUNDLE: Final[Schema] = {
    "type": "object",
    "properties": {"resourceType": {"const": "Bundle"}, "type": {"const": "collection"}, "entry": {"type": "array"}},
    "required": ["resourceType", "type", "entry"],
}
POSTED: Final[Schema] = {
    "type": "object",
    "anyOf": [
        {"properties": {"hook": TEXT, "hookInstance": TEXT, "context": OBJECT}, "required": ["hook", "context"]},
        {"properties": {"resourceType": {"const": "Bundle"}, "entry": {"type": "array"}}, "required": ["resourceType"]},
    ],
}
"""A call of a hook, or a Bundle of one patient's record."""
FEEDBACK: Final[Schema] = {
    "type": "object",
    "properties": {
        "feedback": {
            "type": "array",
            "description": "What became of cards, as CDS Hooks has it. Unreadable entries are kept, and said.",
        }
    },
    "required": ["feedback"],
}
HEALTH: Final[Schema] = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
UNREADY: Final[Schema] = {
    "type": "object",
    "properties": {"status": {"const": "unavailable"}, "store": {"const": "unavailable"}},
    "required": ["status", "store"],
}

REFUSALS: Final[Mapping[int, str]] = {
    400: "The body cannot be read; each issue names the JSON path, never a value.",
    401: "The call is not authenticated; the body is the same whatever the reason.",
    404: "There is nothing at this address: this deployment does not offer the service. `/cds-services` lists its own.",
    405: "This address does not take this method; `Allow` names those that it takes.",
    412: "None of the needed data could be had; each issue names a prefetch key and the reason.",
    413: "The body is larger than this service takes, or holds more resources, drafts or doses than are assessed.",
    415: "The body is not sent as application/json, or with a content encoding.",
    429: "The client has too many calls open; the call was not assessed. Send it again.",
    500: "The service failed; the call was not assessed.",
    503: "The store is not available; nothing was stored. Send it again.",
}
SIGNED: Final[Mapping[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A JSON Web Token for this one call, signed by a registered client, as CDS Hooks has it.",
}
"""Each with an OperationOutcome without patient data (C43)."""

ALWAYS: Final[Mapping[str, Any]] = {
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "X-Content-Type-Options": {"required": True, "schema": {"const": "nosniff"}},
    "Access-Control-Allow-Origin": {"description": "For browsers that may read the answer.", "schema": TEXT},
}
REFUSING: Final[Mapping[int, Mapping[str, Any]]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    405: {"Allow": {"required": True, "schema": TEXT}},
    429: {"Retry-After": {"required": True, "schema": TEXT}},
    503: {"Retry-After": {"required": True, "schema": TEXT}},
}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one address: what it takes, what it gives (by media type) and which statuses refuse a call.

    `hook` is the only one that the body may name. `signed`: a token is asked for. `fails`: statuses with a body that is
    no OperationOutcome.
    """

    path: str
    name: str
    does: str
    gives: Mapping[str, Body]
    method: Literal["get", "post"] = "get"
    takes: Body | None = None
    hook: str = ""
    refuses: tuple[int, ...] = (405, 500)
    signed: bool = False
    fails: Mapping[int, Body] = field(default_factory=dict)


CALL_REFUSALS: Final = (400, 404, 405, 412, 413, 415, 429, 500)
FEEDBACK_REFUSALS: Final = (400, 404, 405, 413, 415, 429, 500, 503)
TIMELINE_REFUSALS: Final = (400, 405, 412, 413, 415, 429, 500)
SIGNED_TIMELINE_REFUSALS: Final = (400, 401, 405, 412, 413, 415, 429, 500, 503)
SIGNED_CALL_REFUSALS: Final = (400, 401, 404, 405, 412, 413, 415, 429, 500, 503)
SIGNED_FEEDBACK_REFUSALS: Final = (400, 401, 404, 405, 413, 415, 429, 500, 503)


def endpoints(services: Sequence[wire.Service], *, needs_token: bool = False) -> tuple[Endpoint, ...]:
    """Every address of the service. Those of calls and feedback are one for each entry of the discovery."""
    calls = (
        Endpoint(
            path=f"/cds-services/{service.id}",
            name=service.id,
            does=service.description,
            method="post",
            takes=wire.request_model(service.hook),
            hook=service.hook,
            gives={JSON: wire.CdsResponse},
            refuses=SIGNED_CALL_REFUSALS if needs_token else CALL_REFUSALS,
            signed=needs_token,
        )
        for service in services
    )
    told = (
        Endpoint(
            path=f"/cds-services/{service.id}/feedback",
            name=f"{service.id}-feedback",
            does="What became of cards; repeats count once.",
            method="post",
            takes=FEEDBACK,
            gives={JSON: wire.FeedbackResponse},
            refuses=SIGNED_FEEDBACK_REFUSALS if needs_token else FEEDBACK_REFUSALS,
            signed=needs_token,
        )
        for service in services
    )
    knowledge = "The rules in force, to be read (for a browser as a page), as plain JSON, or as FHIR R4 resources."
    return (
        Endpoint(path="/cds-services", name="discovery", does="The services on offer.", gives={JSON: wire.Discovery}),
        *calls,
        *told,
        Endpoint(
            path="/timeline",
            name="timeline",
            does=(
                "The course of the patient of a call (of any hook offered), or of one patient's record as a FHIR "
                "Bundle, as a page, as SVG or as data; `?part=1` gives the page's content alone."
            ),
            method="post",
            takes=POSTED,
            gives={HTML: TEXT, SVG: TEXT, JSON: OBJECT},
            refuses=SIGNED_TIMELINE_REFUSALS if needs_token else TIMELINE_REFUSALS,
            signed=needs_token,
        ),
        Endpoint(
            path="/metrics", name="metrics", does="Counts for Prometheus, none of a patient.", gives={PLAIN: TEXT}
        ),
        Endpoint(
            path="/knowledge",
            name="knowledge",
            does=knowledge,
            gives={MARKDOWN: TEXT, JSON: OBJECT, FHIR_JSON: BUNDLE, HTML: TEXT},
        ),
        Endpoint(path="/health/live", name="live", does="The process answers.", gives={JSON: HEALTH}),
        Endpoint(
            path="/health/ready",
            name="ready",
            does="The knowledge is loaded and the store can be reached. Without the store there still is advice.",
            gives={JSON: HEALTH},
            fails={503: UNREADY},
        ),
        Endpoint(path="/openapi.json", name="openapi", does="This document.", gives={JSON: OBJECT}),
    )


def document(
    services: Sequence[wire.Service], *, needs_token: bool = False, examples: Path = EXAMPLES
) -> dict[str, Any]:
    """The OpenAPI document of these services, with the requests in the folder `examples` where there is one."""
    described = endpoints(services, needs_token=needs_token)
    references, schemas = _schemas(described)
    by_hook = _examples(examples)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in described:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint, references, by_hook)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tarlatamab-cds",
            "version": VERSION,
            "summary": "CDS Hooks service for tarlatamab",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {str(status): _refusal(status, references) for status in REFUSALS},
            **({"securitySchemes": {"client": SIGNED}} if needs_token else {}),
        },
    }


# --- schemas -----------------------------------------------------------------------------------------------------

_Key: TypeAlias = tuple[type[BaseModel], JsonSchemaMode]


def _schemas(described: Iterable[Endpoint]) -> tuple[Mapping[_Key, Schema], dict[str, Any]]:
    """A reference for each model that is taken or given, and the definitions that they refer to."""
    used: dict[_Key, None] = {(wire.OperationOutcome, "serialization"): None}
    for endpoint in described:
        if isinstance(endpoint.takes, type):
            used[endpoint.takes, "validation"] = None
        used |= {(body, "serialization"): None for body in endpoint.gives.values() if isinstance(body, type)}
    made_references, made = models_json_schema(list(used), ref_template="#/components/schemas/{model}")
    references: dict[_Key, Schema] = {(model, mode): made_references[model, mode] for model, mode in used}
    outgoing = {str(reference["$ref"]) for (_, mode), reference in references.items() if mode == "serialization"}
    definitions: dict[str, Any] = made["$defs"]
    written = _reached(outgoing, definitions)
    schemas = {name: _tidy(schema, written=name in written) for name, schema in definitions.items()}
    return references, schemas


def _reached(references: set[str], definitions: Mapping[str, Any]) -> set[str]:
    """The names of the definitions that these references lead to, over any number of steps."""
    reached: set[str] = set()
    ahead = [reference.rpartition("/")[2] for reference in references]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += [str(found).rpartition("/")[2] for found in references_in(definitions[name])]
    return reached


def references_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for part in schema.values():
            yield from references_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from references_in(part)


def _tidy(schema: Any, *, written: bool) -> Any:
    """The schema without made-up titles; of what goes out also without null, which is never written (C2)."""
    if isinstance(schema, list):
        return [_tidy(part, written=written) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: _tidy(part, written=written)
        for name, part in schema.items()
        if not (name == "title" and isinstance(part, str)) and not (written and name == "default")
    }
    if written and kept.get("anyOf", [])[1:] == [{"type": "null"}]:
        kept |= kept.pop("anyOf")[0]
    if written and kept.get("properties"):
        kept["properties"] = {name: _not_empty(name, part) for name, part in kept["properties"].items()}
        always = (name for name, part in schema["properties"].items() if part.get("default"))
        kept["required"] = [*kept.get("required", ()), *always]
    return kept


def _not_empty(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A list that goes out has an entry, or is left out (C2)."""
    return {"minItems": 1, **schema} if schema.get("type") == "array" and name not in wire.MAY_BE_EMPTY else schema


# --- operations ----------------------------------------------------------------------------------------------------


def _operation(
    endpoint: Endpoint, references: Mapping[_Key, Schema], examples: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": endpoint.name, "summary": endpoint.does}
    if endpoint.signed:
        operation["security"] = [{"client": []}]
    if endpoint.takes is not None:
        schema = references[endpoint.takes, "validation"] if isinstance(endpoint.takes, type) else endpoint.takes
        if endpoint.hook:
            schema = {"allOf": [schema, {"properties": {"hook": {"const": endpoint.hook}}}]}
        taken = {"schema": schema, "examples": examples.get(endpoint.hook, {})}
        operation["requestBody"] = {"required": True, "content": {JSON: {k: v for k, v in taken.items() if v}}}
    content = {media: {"schema": _given(body, references)} for media, body in endpoint.gives.items()}
    answers: dict[str, Any] = {"200": {"description": "Answered.", "headers": ALWAYS, "content": content}}
    answers |= {str(status): {"$ref": f"#/components/responses/{status}"} for status in endpoint.refuses}
    for failing, body in endpoint.fails.items():
        said = {JSON: {"schema": _given(body, references)}}
        answers[str(failing)] = {"description": "Not now.", "headers": ALWAYS, "content": said}
    return operation | {"responses": answers}


def _given(body: Body, references: Mapping[_Key, Schema]) -> Schema:
    return references[body, "serialization"] if isinstance(body, type) else body


def _refusal(status: int, references: Mapping[_Key, Schema]) -> dict[str, Any]:
    headers = {**ALWAYS, **REFUSING.get(status, {})}
    content = {JSON: {"schema": references[wire.OperationOutcome, "serialization"]}}
    return {"description": REFUSALS[status], "headers": headers, "content": content}


def _examples(folder: Path) -> dict[str, dict[str, Any]]:
    """The requests in a folder by their hook, each by the name of its file."""
    by_hook: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        call = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(call, dict) and isinstance(call.get("hook"), str):
            by_hook.setdefault(call["hook"], {})[file.stem] = {"value": call}
    return by_hook
