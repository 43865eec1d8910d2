"""The clinical vocabulary: what a record can say, with how sure it is and where it stands.

A fact has three states: a value, `NotRecorded` (the record was read and holds none), or `Unknown`
(something is there, or should be, and could not be read: `why` says so). Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias


class NotRecordedType(Enum):
    """The record was read and holds no such thing."""

    NOT_RECORDED = "not recorded"

    def __repr__(self) -> str:
        return "NotRecorded"


NotRecorded: Final = NotRecordedType.NOT_RECORDED


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Something that could not be read, and why.

    `what` is the FHIR resource type or the prefetch key concerned; `reference` is `Type/id`, or ""
    where the resource has none. `why` is our own wording and holds no patient data. `foreign` is True for
    a resource of another patient: it was not used, and nothing of this patient is missing for it.
    """

    what: str
    why: str
    reference: str = ""
    foreign: bool = False


DRAFT: Final = "draft order"
"""What an Unknown of `context.draftOrders` is called, of whatever resource type."""
ANOTHER_KIND: Final = "order of another kind"
"""What an Unknown of a draft that names the drug and is no medication order is called."""
VISIT: Final = "proposed appointment"
"""What an Unknown of `context.appointments` is called."""


@dataclass(frozen=True, kw_only=True)
class When:
    """A day, or the range of days that a partial or border-line date leaves open.

    Units: calendar days in the clinic's zone. `earliest == latest` for a certain day. A partial
    date (`2026-01`) spans its month; a recorded offset that puts the same instant on another day
    than the clinic's zone spans both. `instant` (zone-aware, clinic's zone) is None without a clock time.
    `recorded` is the text as received.
    """

    earliest: date
    latest: date
    instant: datetime | None = None
    recorded: str = ""

    @property
    def is_certain(self) -> bool:
        return self.earliest == self.latest


MaybeWhen: TypeAlias = When | NotRecordedType | Unknown


@dataclass(frozen=True, kw_only=True)
class Amount:
    """An amount of the drug as ordered or given, in mg.

    `mg` is None when no amount can be had at all. `doubt` says why the amount must be confirmed
    (unit missing, volume instead of mass, found only in text, a range, a contradiction, vials);
    "" when it is as certain as FHIR makes it. `recorded` is the text as received, for the card.
    `absent` is True when the resource states no amount in any form (nothing to read, rather than unreadable).
    """

    mg: Decimal | None
    doubt: str = ""
    recorded: str = ""
    absent: bool = False


class Route(Enum):
    INTRAVENOUS = "intravenous"
    OTHER = "other"
    NOT_GIVEN = "not given"


@dataclass(frozen=True, kw_only=True)
class OrderedDose:
    """One dose of one order of the drug: an order with three dosages or three event times is three.

    `order` is `Type/id` as received. `part` counts the doses of one order from 0 (by `sequence`, then
    event time). `entry` is the place in `draftOrders`, or -1 for an order of the record. `in_draft_orders`
    orders get cards. `day` is D0: for an order of `draftOrders` never before today; NotRecorded where the
    order says none (D0 is then today); Unknown where it is there and unreadable. `day_note` says what was assumed
    ("planned day 2026-01-02 is past: taken as today"), "" if nothing. `status` is the FHIR code in lower
    case, "" if missing.
    `position_named` is a position found in text ("C4D1"), "" if none.
    `minutes` is the infusion duration. `route_recorded` is the route as received.
    `status_reason` is the text of statusReason; `stopped_for_toxicity` is True when an order that ended (stopped,
    cancelled, ended, on-hold), or whose status does not say that it goes on, gives a toxicity, an adverse reaction,
    CRS, ICANS and the like as its reason.
    `is_claim` is True when the order is coded as a billing claim of the drug.
    """

    order: str
    part: int = 0
    entry: int = -1
    in_draft_orders: bool = False
    status: str
    intent: str = ""
    day: MaybeWhen
    day_note: str = ""
    authored: MaybeWhen = NotRecorded
    amount: Amount
    route: Route = Route.NOT_GIVEN
    route_recorded: str = ""
    minutes: Decimal | NotRecordedType | Unknown = NotRecorded
    position_named: str = ""
    status_reason: str = ""
    stopped_for_toxicity: bool = False
    is_claim: bool = False
    identifiers: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Administration:
    """One MedicationAdministration row of the drug, of whatever status (lower case, "" if missing).

    `request` is the `Type/id` of the order it fulfils, "" if none. `ended` is the infusion's end.
    `identifiers` are `system|value`. The amount is `dosage.dose`, else the order's dose, else text
    (an amount in a text counts here as recorded: its `doubt` is "").
    """

    reference: str
    status: str
    start: MaybeWhen
    ended: MaybeWhen = NotRecorded
    amount: Amount
    request: str = ""
    identifiers: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A Procedure coded as a billing claim of the drug (HCPCS J9026), not entered in error."""

    reference: str
    day: MaybeWhen


@dataclass(frozen=True, kw_only=True)
class ProposedVisit:
    """An appointment proposed for an infusion of the drug. `day` spans all days that the request leaves open."""

    reference: str
    day: When


class CompanionKind(Enum):
    STEROID = "steroid"
    SALINE = "saline"


@dataclass(frozen=True, kw_only=True)
class Companion:
    """An order beside the drug's: premedication steroid, or saline. Drafts, and active orders of the record.

    `dexamethasone_mg` is the dose of one administration as dexamethasone equivalent in mg; `litres` the
    volume, `minutes` the duration ordered or computed from the rate. None when not readable.
    """

    reference: str
    kind: CompanionKind
    in_draft_orders: bool
    name: str
    day: MaybeWhen
    route: Route
    dexamethasone_mg: Decimal | None = None
    litres: Decimal | None = None
    minutes: Decimal | NotRecordedType | Unknown = NotRecorded
    recorded: str = ""


class Syndrome(Enum):
    CRS = "crs"
    NEUROTOXICITY = "neurotoxicity"
    POSSIBLE_NEUROTOXICITY = "possible neurotoxicity"  # seizure or confusion without a stated cause
    INFECTION = "infection"
    FEBRILE_NEUTROPENIA = "febrile neutropenia"
    NEUTROPENIA = "neutropenia"
    THROMBOCYTOPENIA = "thrombocytopenia"
    ANAEMIA = "anaemia"
    LIVER = "hepatotoxicity"
    OTHER = "other"


class Scale(Enum):
    ASTCT_CRS = "ASTCT CRS"
    ASTCT_ICANS = "ASTCT ICANS"
    CTCAE = "CTCAE"
    NOT_STATED = "scale not stated"


class GradeSource(Enum):
    """Where a grade stood, in falling order of trust."""

    ADVERSE_EVENT_GRADE = 1
    CONDITION_CODE = 2
    OBSERVATION = 3
    CONDITION_STAGE = 4
    TEXT = 5
    SEVERITY = 6


@dataclass(frozen=True, kw_only=True)
class Grade:
    """A toxicity grade 0 to 5 with its scale. `at_least` is True when it is only a lower bound (from a severity)."""

    value: int
    scale: Scale
    source: GradeSource
    at_least: bool = False


class Course(Enum):
    """Whether the record calls the toxicity over.

    OPEN: clinicalStatus active, recurrence, relapse, or missing, and no abatement by now; AdverseEvent outcome ongoing
    or recovering. RESOLVED: inactive, remission, resolved, or abated; AdverseEvent outcome resolved or with sequelae.
    OUTCOME_MISSING: an AdverseEvent without outcome and without resolved date, or of outcome unknown. POINT: an
    Observation, which knows only its day. FATAL: outcome fatal.
    """

    OPEN = "open"
    RESOLVED = "resolved"
    OUTCOME_MISSING = "outcome missing"
    POINT = "point"
    FATAL = "fatal"


@dataclass(frozen=True, kw_only=True)
class ToxicityRecord:
    """One Condition, AdverseEvent or Observation that names a toxicity. Refuted and entered-in-error ones are dropped.

    `grade` is NotRecorded when none is found anywhere. `end` is abatement or the resolved date,
    NotRecorded when unknown.
    `confirmed` is False for verificationStatus unconfirmed, provisional or differential, and AdverseEvent actuality
    potential.
    `from_text` is True when the syndrome or the grade was found only in text.
    `attributed` is True when the record names the drug as its cause, False when it names only another drug or cause,
    None when neither.
    `acute` is False only for records worded as chronic, latent, historical or carrier states.
    `ice_score` is set on ICE observations (0 to 10); their `grade` is NotRecorded: the engine grades them.
    """

    reference: str
    syndrome: Syndrome
    grade: Grade | NotRecordedType
    onset: MaybeWhen
    end: MaybeWhen
    course: Course
    confirmed: bool = True
    from_text: bool = False
    attributed: bool | None = None
    acute: bool = True
    ice_score: int | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class OtherEngager:
    """A CAR-T therapy or another T-cell engager on record (Procedure, order or administration), with its day."""

    reference: str
    name: str
    day: MaybeWhen


class Analyte(Enum):
    NEUTROPHILS = "neutrophils"  # 10*9/L
    PLATELETS = "platelets"  # 10*9/L
    HAEMOGLOBIN = "haemoglobin"  # g/dL
    ALT = "ALT"  # U/L
    AST = "AST"  # U/L
    BILIRUBIN = "bilirubin"  # mg/dL
    CREATININE = "creatinine"  # mg/dL
    EGFR = "eGFR"  # mL/min/{1.73_m2}
    CREATININE_CLEARANCE = "creatinine clearance"  # mL/min


class Bound(Enum):
    EXACT = "="
    BELOW = "<"  # the true value is below the number
    ABOVE = ">"  # the true value is above the number


@dataclass(frozen=True, kw_only=True)
class LabResult:
    """A usable laboratory result in the analyte's unit (beside each Analyte). Cancelled and erroneous ones are dropped.

    `value` is None when the result is there but refused: `refused` says why (unit missing, implausible, no number).
    `upper_normal` is the result's own range, converted by its own unit; None without one (`range_refused` says why it
    was refused).
    """

    reference: str
    analyte: Analyte
    day: MaybeWhen
    value: Decimal | None
    bound: Bound = Bound.EXACT
    upper_normal: Decimal | None = None
    preliminary: bool = False
    refused: str = ""
    range_refused: str = ""
    recorded: str = ""


class Vital(Enum):
    TEMPERATURE = "temperature"  # Cel
    SYSTOLIC = "systolic blood pressure"  # mm[Hg]
    OXYGEN_FLOW = "oxygen flow"  # L/min
    OXYGEN_SATURATION = "oxygen saturation"  # %


@dataclass(frozen=True, kw_only=True)
class VitalSign:
    reference: str
    vital: Vital
    at: MaybeWhen
    value: Decimal


class SupportKind(Enum):
    VASOPRESSOR = "vasopressor"
    VASOPRESSIN = "vasopressin"
    HIGH_FLOW_OXYGEN = "mask or high-flow oxygen"
    POSITIVE_PRESSURE = "positive pressure or mechanical ventilation"


@dataclass(frozen=True, kw_only=True)
class Support:
    """A circulatory or breathing support on record and not ended before now: a pressor, a device, a procedure."""

    reference: str
    kind: SupportKind
    name: str
    at: MaybeWhen


class Sex(Enum):
    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    NOT_RECORDED = "not recorded"


class PregnancyFinding(Enum):
    PREGNANT = "pregnant"  # status or condition
    POSITIVE_TEST = "positive test"
    NOT_PREGNANT = "not pregnant"  # status
    NEGATIVE_TEST = "negative test"
    UNCERTAIN = "uncertain"  # status unknown or possible, test indeterminate or unreadable


@dataclass(frozen=True, kw_only=True)
class PregnancyRecord:
    """`end` is the day the pregnancy ended (abatement, delivery); NotRecorded while open."""

    reference: str
    finding: PregnancyFinding
    day: MaybeWhen
    end: MaybeWhen = NotRecorded


class FertilityFinding(Enum):
    UTERUS_EVIDENCE = "evidence of a uterus"  # birth sex female, pregnancy, cervix-only removal ...
    NO_UTERUS = "hysterectomy"
    STERILISED = "sterilisation"
    MENOPAUSE = "menopause"
    EFFECTIVE_CONTRACEPTION = "effective contraception"
    OTHER_CONTRACEPTION = "other contraception"


@dataclass(frozen=True, kw_only=True)
class FertilityRecord:
    reference: str
    finding: FertilityFinding
    name: str
    day: MaybeWhen = NotRecorded


class FeedingFinding(Enum):
    BREASTFEEDING = "breastfeeding"
    NOT_BREASTFEEDING = "not breastfeeding"
    UNCERTAIN = "uncertain"
    DELIVERY = "delivery"


@dataclass(frozen=True, kw_only=True)
class FeedingRecord:
    reference: str
    finding: FeedingFinding
    day: MaybeWhen


class OrganFinding(Enum):
    KIDNEY_STAGE_4_OR_5 = "chronic kidney disease stage 4 or 5"
    DIALYSIS = "dialysis"
    CHILD_PUGH_B_OR_C = "Child-Pugh B or C"
    OTHER_LIVER_CAUSE = "another cause of liver injury"


@dataclass(frozen=True, kw_only=True)
class OrganRecord:
    """An organ condition that holds now (not refuted, not resolved). `name`: what the record calls it."""

    reference: str
    finding: OrganFinding
    day: MaybeWhen
    name: str = ""


class CancerFinding(Enum):
    SMALL_CELL_EXTENSIVE = "extensive-stage small-cell lung cancer"
    SMALL_CELL_LIMITED = "limited-stage small-cell lung cancer"
    SMALL_CELL = "small-cell lung cancer, stage not stated"
    LUNG_UNSPECIFIED = "lung cancer without histology"
    NOT_SMALL_CELL = "lung cancer other than small-cell"
    PLATINUM = "platinum chemotherapy"
    PROGRESSION = "progression"
    NO_PROGRESSION = "disease status other than progression"


@dataclass(frozen=True, kw_only=True)
class CancerRecord:
    reference: str
    finding: CancerFinding
    day: MaybeWhen
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class DrugAllergy:
    """An allergy or intolerance to the drug itself, not refuted and not entered in error."""

    reference: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """`born` is NotRecorded without a birth date and a range for a partial one."""

    reference: str
    born: MaybeWhen = NotRecorded
    sex: Sex = Sex.NOT_RECORDED


class Reading(Enum):
    """How far one need (prefetch key) could be read."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True)
class Need:
    """One prefetch key of the contract, how far it was read, and why not wholly (our wording, no patient data).

    A need that was read completely has a `why` only where there can be nothing to read.
    `by_code_only`: all that has one of our codes is there; what stands in a text only may not have been searched for.
    """

    key: str
    reading: Reading
    why: str = ""
    by_code_only: bool = False


@dataclass(frozen=True, kw_only=True)
class TreatmentState:
    """Everything the record says that a rule asks for. Tuples keep the order of receipt.

    `orders` holds the drafts of the call and the drug's orders on record, of every status but entered-in-error.
    `administrations` holds all rows of the drug, also `not-done` and `entered-in-error` ones (the engine drops them).
    `visits` are the appointments of the call for infusions of the drug.
    `unknowns` are resources that could not be read, whose type matters to a rule. `nameless` are the references of open
    conditions with a code that is not known here and no name.
    """

    patient: Person
    needs: Mapping[str, Need] = field(default_factory=dict)
    orders: tuple[OrderedDose, ...] = ()
    administrations: tuple[Administration, ...] = ()
    claims: tuple[Claim, ...] = ()
    companions: tuple[Companion, ...] = ()
    toxicities: tuple[ToxicityRecord, ...] = ()
    engagers: tuple[OtherEngager, ...] = ()
    labs: tuple[LabResult, ...] = ()
    vitals: tuple[VitalSign, ...] = ()
    supports: tuple[Support, ...] = ()
    pregnancy: tuple[PregnancyRecord, ...] = ()
    fertility: tuple[FertilityRecord, ...] = ()
    feeding: tuple[FeedingRecord, ...] = ()
    organs: tuple[OrganRecord, ...] = ()
    cancer: tuple[CancerRecord, ...] = ()
    allergies: tuple[DrugAllergy, ...] = ()
    unknowns: tuple[Unknown, ...] = ()
    nameless: tuple[str, ...] = ()
    visits: tuple[ProposedVisit, ...] = ()
