"""The person: birth, sex, pregnancy, reproductive potential, contraception, feeding."""

from __future__ import annotations

from typing import Any, Final

from fhir_mappings.chart import Resource
from fhir_mappings.dates import when
from fhir_mappings.elements import Clinic, all_texts, code_of, extension_value, extensions, reference_of
from fhir_mappings.facts import FertilityFinding, FertilityRecord, Person, Sex
from fhir_mappings.terminology import normalised, value_set

_SEXES: Final = {"female": Sex.FEMALE, "male": Sex.MALE, "other": Sex.OTHER}


def observation_codes() -> tuple[str, ...]:
    """The `system|code` list of the `observations` prefetch: grades, pregnancy, feeding, contraception, course."""
    sets = ("toxicities", "pregnancy", "feeding", "fertility", "lung-cancer")
    return tuple(code for name in sets for code in value_set(name).prefetch)


# --- Patient ----------------------------------------------------------------------------------------------------------


def person_of(patient: Resource, clinic: Clinic) -> Person:
    """Birth and sex; the sex recorded at birth stands in for a missing gender.

    Unknown: `born` where the birth date is there and unreadable.
    """
    sex = _sex(patient.get("gender"))
    if sex is Sex.NOT_RECORDED:
        sex = next((s for s in _recorded_sexes(patient) if s is not Sex.NOT_RECORDED), Sex.NOT_RECORDED)
    return Person(
        reference=reference_of(patient) or f"Patient/{clinic.patient_id}",
        born=when(patient.get("birthDate"), clinic.zone, "Patient", reference_of(patient)),
        sex=sex,
    )


def _sex(value: Any) -> Sex:
    known = value_set("person")
    texts = (
        (normalised(value),) if isinstance(value, str) else tuple(map(normalised, (*all_texts(value), code_of(value))))
    )
    found = (known.exactly(text) for text in texts)
    return next((_SEXES[concept.meaning] for concept in found if concept is not None), Sex.NOT_RECORDED)


def _recorded_sexes(patient: Resource) -> tuple[Sex, ...]:
    """Birth sex and sex for clinical use, from their extensions."""
    simple = extensions(patient, "us-core-birthsex", "us-core-sex", "patient-birthSex")
    nested = extensions(patient, "patient-sexParameterForClinicalUse", "sex-for-clinical-use")
    values = [extension_value(found) for found in simple]
    values += [extension_value(inner) for outer in nested for inner in extensions(outer, "value")]
    values += [extension_value(found) for found in nested]
    return tuple(_sex(value) for value in values if value is not None)


def uterus_by_sex(patient: Resource) -> tuple[FertilityRecord, ...]:
    """Evidence of a uterus from a sex recorded as female beside the gender."""
    if Sex.FEMALE not in _recorded_sexes(patient):
        return ()
    name = "female sex recorded at birth or for clinical use"
    return (FertilityRecord(reference=reference_of(patient), finding=FertilityFinding.UTERUS_EVIDENCE, name=name),)
