"""Facts in a few words, so that a test reads as a sentence: `ask(order("10"), give(-15, "1"))`.

Days are counted from TODAY, 2026-01-20. Unless a test says otherwise the patient is a man of 65 with extensive-stage
small-cell lung cancer that progressed after platinum, with normal results of two days ago, and with dexamethasone and
saline ordered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from cds_service import cards, wire
from cds_service.engine.advice import Advice, Assessment
from cds_service.engine.case import Occasion
from cds_service.engine.rulebook import Rulebook
from cds_service.knowledge.loader import load
from cds_service.knowledge.regimen import Sources
from fhir_mappings.facts import (
    Administration,
    Amount,
    Analyte,
    CancerFinding,
    CancerRecord,
    Claim,
    Companion,
    CompanionKind,
    Course,
    DrugAllergy,
    FeedingFinding,
    FeedingRecord,
    FertilityFinding,
    FertilityRecord,
    Grade,
    GradeSource,
    LabResult,
    MaybeWhen,
    Need,
    NotRecorded,
    OrderedDose,
    OrganFinding,
    OrganRecord,
    OtherEngager,
    Person,
    PregnancyFinding,
    PregnancyRecord,
    ProposedVisit,
    Reading,
    Route,
    Scale,
    Sex,
    Support,
    SupportKind,
    Syndrome,
    ToxicityRecord,
    TreatmentState,
    Unknown,
    Vital,
    VitalSign,
    When,
)
from tests import fingerprints

ZONE: Final = ZoneInfo("UTC")
AT: Final = datetime(2026, 1, 20, 9, tzinfo=ZONE)
TODAY: Final = AT.date()
HOOK_INSTANCE: Final = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


# --- days ------------------------------------------------------------------------------------------------------


def day(n: int, clock: str = "") -> When:
    """The day n days from today, with a clock time ("09:30") if given."""
    on = TODAY + timedelta(days=n)
    instant = datetime.fromisoformat(f"{on.isoformat()}T{clock}").replace(tzinfo=ZONE) if clock else None
    return When(earliest=on, latest=on, instant=instant)


def between(first: int, last: int) -> When:
    """A day that may be any of these: a partial date, or a foreign offset at midnight."""
    return When(earliest=TODAY + timedelta(days=first), latest=TODAY + timedelta(days=last))


def iso(n: int) -> str:
    return (TODAY + timedelta(days=n)).isoformat()


def _when(n: int | MaybeWhen) -> MaybeWhen:
    return day(n) if isinstance(n, int) else n


# --- doses and orders ------------------------------------------------------------------------------------------


def mg(amount: str | None, **more: Any) -> Amount:
    return Amount(mg=None if amount is None else Decimal(amount), **more)


def give(
    n: int | MaybeWhen, amount: str | None, status: str = "completed", *, ref: str = "", **more: Any
) -> Administration:
    """A dose given on day n."""
    name = ref or f"a{n if isinstance(n, int) else 'x'}"
    return Administration(
        reference=f"MedicationAdministration/{name}", status=status, start=_when(n), amount=mg(amount), **more
    )


def gives(*doses: tuple[int, str]) -> tuple[Administration, ...]:
    return tuple(give(n, amount) for n, amount in doses)


def course(k: int, last: int, gap: int = 14) -> tuple[Administration, ...]:
    """1 mg and then k doses of 10 mg, `gap` days apart, the last dose on day `last`."""
    first = give(last - gap * k, "1")
    return (first, *(give(last - gap * (k - i), "10") for i in range(1, k + 1)))


def order(amount: str | Amount | None = "10", n: int | MaybeWhen = 0, entry: int = 0, **more: Any) -> OrderedDose:
    """A draft of the call: IV, over 60 minutes, on day n."""
    fields: dict[str, Any] = {
        "order": f"MedicationRequest/d{entry}",
        "in_draft_orders": True,
        "entry": entry,
        "status": "draft",
        "day": _when(n),
        "amount": amount if isinstance(amount, Amount) else mg(amount),
        "route": Route.INTRAVENOUS,
        "minutes": Decimal(60),
    }
    return OrderedDose(**(fields | more))


def on_record(
    status: str, n: int | MaybeWhen, amount: str | None = "10", *, ref: str = "r1", **more: Any
) -> OrderedDose:
    """An order of the record, not of the call."""
    return order(amount, n, order=f"MedicationRequest/{ref}", in_draft_orders=False, entry=-1, status=status, **more)


def claim(n: int) -> Claim:
    return Claim(reference=f"Procedure/claim{n}", day=day(n))


def steroid(amount: str | None = "8", n: int | MaybeWhen = 0, **more: Any) -> Companion:
    fields: dict[str, Any] = {
        "reference": "MedicationRequest/dex",
        "kind": CompanionKind.STEROID,
        "in_draft_orders": True,
        "name": "dexamethasone",
        "day": _when(n),
        "route": Route.INTRAVENOUS,
        "dexamethasone_mg": None if amount is None else Decimal(amount),
        "recorded": f"{amount} mg",
    }
    return Companion(**(fields | more))


def saline(litres: str | None = "1", n: int | MaybeWhen = 0, minutes: str | None = "270", **more: Any) -> Companion:
    fields: dict[str, Any] = {
        "reference": "MedicationRequest/saline",
        "kind": CompanionKind.SALINE,
        "in_draft_orders": True,
        "name": "sodium chloride 0.9 %",
        "day": _when(n),
        "route": Route.INTRAVENOUS,
        "litres": None if litres is None else Decimal(litres),
        "minutes": NotRecorded if minutes is None else Decimal(minutes),
        "recorded": f"{litres} L",
    }
    return Companion(**(fields | more))


PREMEDICATION: Final = (steroid(n=NotRecorded), saline(n=NotRecorded))


# --- toxicities ------------------------------------------------------------------------------------------------


def grade(value: int | None, scale: Scale = Scale.ASTCT_CRS, *, at_least: bool = False) -> Any:
    if value is None:
        return NotRecorded
    return Grade(value=value, scale=scale, source=GradeSource.CONDITION_CODE, at_least=at_least)


def toxicity(
    syndrome: Syndrome,
    value: int | None,
    onset: int | MaybeWhen,
    end: int | MaybeWhen | None = None,
    *,
    at_least: bool = False,
    ref: str = "",
    **more: Any,
) -> ToxicityRecord:
    """A record of this grade, from one day to another; open without an end."""
    name = ref or syndrome.name.lower() + (str(onset) if isinstance(onset, int) else "")
    fields: dict[str, Any] = {
        "reference": f"Condition/{name}",
        "syndrome": syndrome,
        "grade": grade(value, at_least=at_least),
        "onset": _when(onset),
        "end": NotRecorded if end is None else _when(end),
        "course": Course.OPEN if end is None else Course.RESOLVED,
        "label": syndrome.value,
    }
    return ToxicityRecord(**(fields | more))


def crs(value: int | None, onset: int | MaybeWhen, end: int | MaybeWhen | None = None, **more: Any) -> ToxicityRecord:
    return toxicity(Syndrome.CRS, value, onset, end, **more)


def neuro(value: int | None, onset: int | MaybeWhen, end: int | MaybeWhen | None = None, **more: Any) -> ToxicityRecord:
    return toxicity(Syndrome.NEUROTOXICITY, value, onset, end, **more)


def ice(score: int, n: int) -> ToxicityRecord:
    """An ICE score of day n."""
    return neuro(None, n, ref=f"ice{n}", course=Course.POINT, ice_score=score)


# --- results and signs -----------------------------------------------------------------------------------------


def lab(
    analyte: Analyte, value: str | None, n: int | MaybeWhen = -2, upper: str | None = None, **more: Any
) -> LabResult:
    fields: dict[str, Any] = {
        "reference": f"Observation/{analyte.name.lower()}{n if isinstance(n, int) else ''}",
        "analyte": analyte,
        "day": _when(n),
        "value": None if value is None else Decimal(value),
        "upper_normal": None if upper is None else Decimal(upper),
    }
    return LabResult(**(fields | more))


def normal_labs(n: int = -2) -> tuple[LabResult, ...]:
    return (
        lab(Analyte.NEUTROPHILS, "3.2", n),
        lab(Analyte.PLATELETS, "210", n),
        lab(Analyte.HAEMOGLOBIN, "12", n),
        lab(Analyte.ALT, "20", n, "40"),
        lab(Analyte.AST, "20", n, "40"),
        lab(Analyte.BILIRUBIN, "0.6", n, "1.2"),
        lab(Analyte.EGFR, "80", n),
    )


NORMAL_LABS: Final = normal_labs()


def labs_but(*others: LabResult) -> tuple[LabResult, ...]:
    """Normal results, but for those of the analytes given."""
    replaced = {other.analyte for other in others}
    return (*(result for result in NORMAL_LABS if result.analyte not in replaced), *others)


def sign(vital: Vital, value: str, n: int = 0, clock: str = "08:00") -> VitalSign:
    return VitalSign(reference=f"Observation/{vital.name.lower()}", vital=vital, at=day(n, clock), value=Decimal(value))


def support(kind: SupportKind, name: str = "norepinephrine", n: int = 0) -> Support:
    return Support(reference=f"Procedure/{name.replace(' ', '-')}", kind=kind, name=name, at=day(n, "08:00"))


# --- the patient -----------------------------------------------------------------------------------------------


def born(text: str, last: str = "") -> When:
    return When(earliest=date.fromisoformat(text), latest=date.fromisoformat(last or text))


MAN: Final = Person(reference="Patient/p1", born=born("1961-01-01"), sex=Sex.MALE)
WOMAN: Final = Person(reference="Patient/p1", born=born("1992-01-01"), sex=Sex.FEMALE)


def aged(birth: MaybeWhen, sex: Sex = Sex.FEMALE) -> Person:
    return Person(reference="Patient/p1", born=birth, sex=sex)


def pregnancy(finding: PregnancyFinding, n: int | MaybeWhen, end: int | None = None) -> PregnancyRecord:
    return PregnancyRecord(
        reference=f"Observation/{finding.name.lower()}",
        finding=finding,
        day=_when(n),
        end=NotRecorded if end is None else day(end),
    )


def fertility(finding: FertilityFinding, name: str = "intrauterine device") -> FertilityRecord:
    return FertilityRecord(reference="Observation/fertility", finding=finding, name=name)


def feeding(finding: FeedingFinding, n: int | MaybeWhen) -> FeedingRecord:
    return FeedingRecord(reference=f"Observation/{finding.name.lower()}", finding=finding, day=_when(n))


def organ(finding: OrganFinding, n: int | MaybeWhen) -> OrganRecord:
    return OrganRecord(reference="Condition/organ", finding=finding, day=_when(n))


def cancer(finding: CancerFinding, n: int | MaybeWhen) -> CancerRecord:
    return CancerRecord(reference=f"Condition/{finding.name.lower()}", finding=finding, day=_when(n))


SCLC_AFTER_PLATINUM: Final = (
    cancer(CancerFinding.SMALL_CELL_EXTENSIVE, -300),
    cancer(CancerFinding.PLATINUM, -250),
    cancer(CancerFinding.PROGRESSION, -120),
)

# --- asking ----------------------------------------------------------------------------------------------------

FIELDS: Final[Mapping[type, str]] = {
    OrderedDose: "orders",
    Administration: "administrations",
    Claim: "claims",
    Companion: "companions",
    ToxicityRecord: "toxicities",
    OtherEngager: "engagers",
    LabResult: "labs",
    VitalSign: "vitals",
    Support: "supports",
    PregnancyRecord: "pregnancy",
    FertilityRecord: "fertility",
    FeedingRecord: "feeding",
    OrganRecord: "organs",
    CancerRecord: "cancer",
    DrugAllergy: "allergies",
    Unknown: "unknowns",
    ProposedVisit: "visits",
}
USUAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "labs": NORMAL_LABS,
    "cancer": SCLC_AFTER_PLATINUM,
    "companions": PREMEDICATION,
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: the assessment, and its cards."""

    assessment: Assessment
    cards: tuple[wire.Card, ...]

    @property
    def kinds(self) -> list[str]:
        """`dose/wait critical` for each card, in the order of the cards."""
        return [kind_of(card) for card in self.cards]

    def about(self, entry: int) -> list[str]:
        """The same for one draft; cards about the whole call left out."""
        return [
            f"{a.topic}/{a.action} {a.indicator}"
            for a in self.assessment.advice
            if a.order == f"MedicationRequest/d{entry}" and a.topic != "record"
        ]

    def card(self, kind: str) -> wire.Card:
        """The one card of this topic/action (and indicator, if named)."""
        found = [card for card in self.cards if kind_of(card).startswith(kind)]
        assert len(found) == 1, f"{kind}: {self.kinds}"
        return found[0]

    def advice(self, kind: str) -> Advice:
        found = [a for a in self.assessment.advice if f"{a.topic}/{a.action} {a.indicator}".startswith(kind)]
        assert found, f"{kind}: {self.kinds}"
        return found[0]

    def extension(self, kind: str) -> wire.Advice:
        """What the card says to programs."""
        return extension_of(self.card(kind))

    def text(self, kind: str) -> str:
        """Summary and detail of a card, without the backslashes of its escaping."""
        card = self.card(kind)
        return f"{card.summary}\n{card.detail}".replace("\\", "")

    def rows(self, kind: str) -> tuple[str, ...]:
        return tuple(self.extension(kind).rows)

    def expected(self, kind: str, entry: int = 0) -> tuple[str, str, str]:
        """Dose, position and due day that a card expects of a draft."""
        expected = self.extension(kind).expected
        found = [e for e in expected if e.order == f"MedicationRequest/d{entry}"]
        assert len(found) == 1, expected
        return str(found[0].dose), str(found[0].position), str(found[0].due_on)


def extension_of(card: wire.Card) -> wire.Advice:
    assert card.extension is not None
    return card.extension.advice


def kind_of(card: wire.Card) -> str:
    advice = extension_of(card)
    return f"{advice.topic}/{advice.action} {card.indicator}"


@lru_cache
def rulebook(sources: Sources = Sources.SEED_AND_LABEL) -> Rulebook:
    return Rulebook(load(sources=sources))


def read(key: str, reading: Reading, why: str = "time limit") -> Need:
    return Need(key=key, reading=reading, why=why)


def state_of(
    *facts: Any, patient: Person = MAN, needs: Sequence[Need] = (), usual: bool = True, **instead: tuple[Any, ...]
) -> TreatmentState:
    """The facts by their kind, beside the usual ones; `labs=()` and the like replace the usual ones."""
    fields: dict[str, tuple[Any, ...]] = (dict(USUAL) if usual else {}) | instead
    for fact in facts:
        name = FIELDS[type(fact)]
        fields[name] = (*fields.get(name, ()), fact)
    return TreatmentState(patient=patient, needs={need.key: need for need in needs}, **fields)


def ask(
    *facts: Any,
    patient: Person = MAN,
    needs: Sequence[Need] = (),
    usual: bool = True,
    at: datetime = AT,
    zone: ZoneInfo = ZONE,
    sources: Sources = Sources.SEED_AND_LABEL,
    selected: Sequence[int] | None = None,
    incomplete: bool = False,
    occasion: Occasion = Occasion.ORDERS,
    book: Rulebook | None = None,
    **instead: tuple[Any, ...],
) -> Answer:
    """What the service says to a call with these facts. `incomplete`: order-select, where details may be missing."""
    assessment = (book or rulebook(sources)).assess(
        state_of(*facts, patient=patient, needs=needs, usual=usual, **instead),
        at=at,
        zone=zone,
        selections=None if selected is None else frozenset(f"MedicationRequest/d{entry}" for entry in selected),
        details_may_be_missing=incomplete,
        occasion=occasion,
    )
    rendered = cards.render(assessment, hook_instance=HOOK_INSTANCE)
    fingerprints.note((rendered_text(rendered), assessment.fired, assessment.silent))
    return Answer(assessment=assessment, cards=rendered)


def rendered_text(rendered: Sequence[wire.Card]) -> str:
    return wire.encode(wire.CdsResponse(cards=tuple(rendered))).decode()


def seed(*facts: Any, **more: Any) -> Answer:
    """The same with only the seed's rows in force."""
    return ask(*facts, sources=Sources.SEED, **more)
