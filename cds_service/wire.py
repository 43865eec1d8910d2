"""CDS Hooks JSON as pydantic models: liberal with what comes in, strict with what goes out.

What comes in may carry anything beside what is known here (hooks gain fields); what goes out holds no unknown
member and never `null`, "", [] or {} (only an answer's `cards` and a discovery's `services` may be empty).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from cds_service import limits
from cds_service.errors import Mistake, RequestError
from cds_service.json_numbers import number_or_text

SUMMARY_LENGTH: Final = 139
"""C61: fewer than 140 characters."""

# --- bytes to JSON ------------------------------------------------------------------------------------------


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def decode(body: bytes, beyond: list[str] | None = None) -> dict[str, Any]:
    """The JSON object in `body`, each decimal number with the digits it was sent with.

    Numbers beyond reason are texts; they are added to `beyond`, for whoever has to tell them from texts.
    Raises: RequestError for anything that is not one strict JSON object: comments, NaN, invalid UTF-8, a key that
    stands twice in one object (which of the two doses would count?). TooMuch where it is more than is assessed.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")

    def number(text: str) -> Decimal | str:
        found = number_or_text(text)
        if beyond is not None and isinstance(found, str):
            beyond.append(found)
        return found

    try:
        decoded = msgspec.json.Decoder(float_hook=number).decode(body)
        kept = _ENCODER.encode(decoded)
    except RecursionError:
        raise RequestError(limits.TOO_DEEP) from None
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        raise RequestError(Mistake(path="", what="the body is not valid JSON")) from None
    if not isinstance(decoded, dict):
        raise RequestError(Mistake(path="", what="the body must be a JSON object"))
    limits.check_size(decoded)
    if _lost_a_key(body, kept):
        raise RequestError(Mistake(path="", what="a key stands twice in one JSON object"))
    return decoded


def _lost_a_key(body: bytes, kept: bytes) -> bool:
    """Whether a key stands twice in an object of `body`; `kept` is what the decoder kept of it, as compact JSON.

    Every key is followed by one colon, and colons in texts stand in both; so a key that was lost is a colon missing in
    `kept`, unless an escaped colon makes up for it. Only then is the body read again, slowly. A body that is compact
    itself, as most EHRs send it, is what was kept.
    """
    if body == kept or (body.count(b":") == kept.count(b":") and b"\\u00" not in body):
        return False

    def once(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise KeyError

    try:
        json.loads(body, object_pairs_hook=once, parse_int=str, parse_float=str)
    except KeyError:
        return True
    return False


# --- what comes in ------------------------------------------------------------------------------------------


class Incoming(BaseModel):
    """Ignores what it does not know (C51, C115). Its `repr` is empty: what comes in is of patients (C109)."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return iter(())


def _bare(value: object) -> object:
    return value.removeprefix("Patient/") if isinstance(value, str) else value


PatientId = Annotated[
    str,
    BeforeValidator(
        _bare, json_schema_input_type=Annotated[str, StringConstraints(pattern=r"^(Patient/)?[A-Za-z0-9._-]{1,128}$")]
    ),
    StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$", strict=True),
]
Bounded = Annotated[str, StringConstraints(min_length=1, max_length=256, strict=True, pattern=r"\S")]


def _null_is_absent_and_an_object_one_entry(value: object) -> object:
    if value is None:
        return ()
    return (value,) if isinstance(value, dict) else value


class Proposals(Incoming):
    """A Bundle of unsigned orders or of proposed appointments, entries as received: reading them is not done here."""

    resource_type: Literal["Bundle"] = "Bundle"
    entry: Annotated[
        tuple[Any, ...],
        BeforeValidator(
            _null_is_absent_and_an_object_one_entry, json_schema_input_type=tuple[Any, ...] | dict[str, Any] | None
        ),
    ] = ()


class Context(Incoming):
    """What all hooks have in common, and all that patient-view has."""

    user_id: Bounded
    patient_id: PatientId
    encounter_id: str | None = None

    def drafts(self) -> tuple[Any, ...]:
        """The entries of `draftOrders`; none where the hook has no such thing."""
        return ()

    def selected(self) -> frozenset[str] | None:
        """The drafts (`Type/id`) that cards may be about; None means all."""
        return None

    def visits(self) -> tuple[Any, ...]:
        """The entries of `appointments`; none where the hook has no such thing."""
        return ()


class OrderSignContext(Context):
    """All orders are about to be signed."""

    draft_orders: Proposals

    def drafts(self) -> tuple[Any, ...]:
        return self.draft_orders.entry


class OrderSelectContext(OrderSignContext):
    """The selected orders are being filled in; details may be missing."""

    selections: tuple[Bounded, ...]

    def selected(self) -> frozenset[str]:
        return frozenset(self.selections)


class DischargeContext(Context):
    """A patient is about to leave the hospital."""

    encounter_id: Bounded


class BookingContext(Context):
    """Appointments are proposed, not booked yet."""

    appointments: Proposals

    def visits(self) -> tuple[Any, ...]:
        return self.appointments.entry


class FhirAuthorization(Incoming):
    """The bearer token for this call's reads. Never stored, logged or echoed (C54), so it hides from `repr`."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=None)

    access_token: SecretStr = Field(min_length=1, max_length=16_384)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a kind of token

    @model_validator(mode="before")
    @classmethod
    def _token_type_in_any_case(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("token_type"), str):
            return {**value, "token_type": value["token_type"].lower()}
        return value

    @model_validator(mode="after")
    def _fits_a_header(self) -> FhirAuthorization:
        if not re.fullmatch(r"[\x21-\x7e]+", self.access_token.get_secret_value()):
            raise ValueError("no bearer token")
        return self


def _usable_authorization(value: object) -> FhirAuthorization | None:
    """The authorization, or None where it holds no token that could be sent: the reads then say so (C53)."""
    if isinstance(value, FhirAuthorization):
        return value
    try:
        return FhirAuthorization.model_validate(value)
    except ValidationError:
        return None


def _absent_if_null(value: object) -> object:
    return {} if value is None else value


class HookRequest(Incoming):
    """A call of a service. `fhir_authorization` is None without a `fhir_server` to send it to (C53).

    `prefetch` keeps its values as received; a key that is absent there is not the same as one that is null (C33, C34).
    """

    hook: Bounded
    hook_instance: Bounded
    context: Context
    fhir_server: Annotated[str, StringConstraints(max_length=2048, strict=True)] | None = None
    fhir_authorization: Annotated[
        FhirAuthorization | None, BeforeValidator(_usable_authorization, json_schema_input_type=FhirAuthorization | Any)
    ] = None
    prefetch: Annotated[
        dict[str, Any], BeforeValidator(_absent_if_null, json_schema_input_type=dict[str, Any] | None)
    ] = Field(default_factory=dict)

    @property
    def trace(self) -> str:
        """`hook_instance` as logs and records name the call: as it came, or a digest of what could be anything else.

        It is a text of the client's: a name, a line break or a terminal's command may be in it.
        """
        if re.fullmatch(r"[A-Za-z0-9._:-]{1,200}", self.hook_instance):
            return self.hook_instance
        return "sha256:" + sha256(self.hook_instance.encode("utf-8", "surrogatepass")).hexdigest()

    @model_validator(mode="after")
    def _token_needs_a_server(self) -> HookRequest:
        if not self.fhir_server and self.fhir_authorization is not None:
            return self.model_copy(update={"fhir_authorization": None})
        return self


class OrderSignRequest(HookRequest):
    context: OrderSignContext


class OrderSelectRequest(HookRequest):
    context: OrderSelectContext


class DischargeRequest(HookRequest):
    context: DischargeContext


class BookingRequest(HookRequest):
    context: BookingContext


_REQUESTS: Final[Mapping[str, type[HookRequest]]] = {
    "order-sign": OrderSignRequest,
    "order-select": OrderSelectRequest,
    "patient-view": HookRequest,
    "encounter-discharge": DischargeRequest,
    "appointment-book": BookingRequest,
}


def request_model(hook: str) -> type[HookRequest]:
    """What a call of this hook looks like. Raises: KeyError for a hook that nobody answers."""
    return _REQUESTS[hook]


def read_request(body: bytes, hook: str) -> HookRequest:
    """The call in `body` of a service that answers `hook`.

    Raises: RequestError naming the JSON path of each mistake, never the value; TooMuch.
    """
    beyond: list[str] = []
    return request_of(decode(body, beyond), hook, beyond)


def request_of(decoded: Mapping[str, Any], hook: str, beyond: Sequence[str] = ()) -> HookRequest:
    """The call that a decoded body is; `beyond` as `decode` filled it. Raises: RequestError as above."""
    if isinstance(decoded.get("hook"), str) and decoded["hook"] != hook:
        raise RequestError(Mistake(path="hook", what=f"this service answers {hook}"))
    try:
        call = request_model(hook).model_validate(decoded, by_alias=True, by_name=False)
    except ValidationError as error:
        raise RequestError(*mistakes(error)) from None
    if wrong := [Mistake(path=path, what=_PLAIN["string_type"]) for path, text in _named(call) if text in beyond]:
        raise RequestError(*wrong)
    return call


def _named(call: HookRequest) -> Iterator[tuple[str, str | None]]:
    """The texts that say which call this is."""
    yield "hookInstance", call.hook_instance
    yield "context.userId", call.context.user_id
    yield "context.patientId", call.context.patient_id
    yield "context.encounterId", call.context.encounter_id


_PLAIN: Final[Mapping[str, str]] = {
    "missing": "required, and missing",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


def mistakes(error: ValidationError) -> Iterator[Mistake]:
    """What pydantic found wrong, by JSON path, without the values."""
    for found in error.errors(include_input=False, include_url=False, include_context=False):
        yield Mistake(path=json_path(found["loc"]), what=_PLAIN.get(found["type"], "does not have the required form"))


def json_path(place: tuple[int | str, ...]) -> str:
    """`("context", "selections", 0)` as `context.selections[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


# --- what goes out ------------------------------------------------------------------------------------------

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+")]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]


class Outgoing(BaseModel):
    """Refuses what the specification does not know; vendor matter stands under `extension` (C85)."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Topic(Outgoing):
    """Why the card exists, the same for every call: the id of the leading row of the knowledge (C68)."""

    system: Url
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,100}$")]
    display: Text | None = None


class Source(Outgoing):
    label: Text
    url: Url | None = None
    icon: Url | None = None
    topic: Topic | None = None


ResourceId = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}$")]


class Action(Outgoing):
    """One thing to do. What is to be deleted stands in `resource_id`; before version 2.0, as a text in `resource`."""

    type: Literal["create", "update", "delete"]
    description: Text
    resource: dict[str, Any] | ResourceId | None = None
    resource_id: ResourceId | None = None

    @model_validator(mode="after")
    def _says_what_to_act_on(self) -> Action:
        if self.type == "delete":
            fits = not isinstance(self.resource, dict) and (self.resource is None) is not (self.resource_id is None)
        else:
            fits = isinstance(self.resource, dict) and self.resource_id is None
        if not fits:
            raise ValueError("create and update carry a resource, delete names what to delete, once (C75-C77)")
        return self


class Suggestion(Outgoing):
    label: Text
    uuid: Uuid | None = None
    is_recommended: bool | None = None
    actions: tuple[Action, ...] = ()


class OverrideReason(Outgoing):
    code: Text
    system: Text
    display: Text


class Link(Outgoing):
    label: Text
    url: Url
    type: Literal["absolute", "smart"] = "absolute"
    app_context: Text | None = None

    @model_validator(mode="after")
    def _context_only_for_apps(self) -> Link:
        if self.app_context is not None and self.type != "smart":
            raise ValueError("appContext only goes with a smart link (C81)")
        return self


class Expected(Outgoing):
    """What the schedule expects of one order or appointment; without `order` of the next dose."""

    order: Text | None = None
    dose: Text | None = None
    position: Text | None = None
    due_on: date | None = None


class Evidence(Outgoing):
    """A resource that the advice rests on, as received, and what it shows."""

    reference: Text
    shows: Text


class Advice(Outgoing):
    """The machine-readable half of a card (contract, section 4)."""

    topic: Text
    action: Text
    rows: tuple[Text, ...] = Field(min_length=1)
    statements: tuple[Text, ...] = ()
    orders: tuple[Text, ...] = ()
    expected: tuple[Expected, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    as_of: date
    knowledge: Text


class CardExtension(Outgoing):
    advice: Advice = Field(alias="org.tarlatamab-cds.advice")


class Card(Outgoing):
    uuid: Uuid | None = None
    summary: Annotated[str, StringConstraints(min_length=1, max_length=SUMMARY_LENGTH, pattern=r"\S")]
    detail: Text | None = None
    indicator: Literal["info", "warning", "critical"]
    source: Source
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: Literal["any", "at-most-one"] | None = None
    override_reasons: tuple[OverrideReason, ...] = ()
    links: tuple[Link, ...] = ()
    extension: CardExtension | None = None

    @model_validator(mode="after")
    def _says_how_to_choose(self) -> Card:
        if self.suggestions and self.selection_behavior is None:
            raise ValueError("suggestions need a selectionBehavior (C69)")
        recommended = sum(1 for suggestion in self.suggestions if suggestion.is_recommended)
        if recommended > 1 and self.selection_behavior != "any":
            raise ValueError("only one suggestion can be recommended when one can be chosen (C70)")
        return self


class ResponseExtension(Outgoing):
    """Where the reference sandbox looks for `systemActions`."""

    system_actions: tuple[Action, ...]


class CdsResponse(Outgoing):
    cards: tuple[Card, ...]
    system_actions: tuple[Action, ...] = ()
    extension: ResponseExtension | None = None


class FeedbackReceipt(Outgoing):
    """What became of the entries of a feedback call: `received` = `recorded` + `repeated` + `rejected`.

    `mistakes` says what is wrong with the first rejected ones.
    """

    received: int
    recorded: int
    repeated: int
    rejected: int
    mistakes: tuple[Text, ...] = ()


class FeedbackExtension(Outgoing):
    receipt: FeedbackReceipt = Field(alias="org.tarlatamab-cds.feedback")


class FeedbackResponse(Outgoing):
    """The specification leaves the body open (C92): JSON (C1), never empty (C2), vendor matter in `extension` (C85)."""

    extension: FeedbackExtension


class Service(Outgoing):
    """One entry of the discovery."""

    hook: Annotated[str, StringConstraints(pattern=r"^[a-z]+(-[a-z]+)*$")]
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]+$")]
    title: Text
    description: Text
    prefetch: dict[str, Text] = Field(default_factory=dict)
    usage_requirements: Text | None = None


class Discovery(Outgoing):
    services: tuple[Service, ...]


class OutcomeIssue(Outgoing):
    severity: Literal["fatal", "error", "warning", "information"] = "error"
    code: Text
    diagnostics: Text
    expression: tuple[Text, ...] = ()


class OperationOutcome(Outgoing):
    """The body of every answer that is not a success (C43). Holds no patient data."""

    resource_type: Literal["OperationOutcome"] = "OperationOutcome"
    issue: tuple[OutcomeIssue, ...] = Field(min_length=1)


MAY_BE_EMPTY: Final = frozenset({"cards", "services"})
_LISTS: Final = (list, tuple)
_Model = TypeVar("_Model", bound=Outgoing)


def as_json(model: Outgoing) -> dict[str, Any]:
    """The model as plain JSON values, without anything empty (C2). FHIR resources in it stay as they are."""
    dumped: dict[str, Any] = model.model_dump(by_alias=True)
    kept = {name: _without_empties(value, name) for name, value in dumped.items()}
    return {name: value for name, value in kept.items() if value or (name in MAY_BE_EMPTY and value is not None)}


def _without_empties(value: Any, name: str = "") -> Any:
    """The value of this member without its empty parts."""
    if name == "resource":
        return value
    if isinstance(value, dict):
        members = [(inner, _without_empties(part, inner)) for inner, part in value.items()]
        return {inner: part for inner, part in members if not _is_empty(part)}
    if isinstance(value, _LISTS):
        return [part for part in map(_without_empties, value) if not _is_empty(part)]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def encode(model: Outgoing) -> bytes:
    """The model as JSON text; decimal numbers keep the digits they came with."""
    return _ENCODER.encode(as_json(model))
