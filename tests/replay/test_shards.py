"""An export as it comes, with everything that can be wrong in one, and which patients' resources go into the shards."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cds_service.errors import ReplayError
from cds_service.replay import shards
from cds_service.replay.export import Export, export_in
from cds_service.replay.shards import Sifted, patients_of, shards_in, sift, sifted_in
from tests.replay.story import Resource, dose, order, resource

MEMORY = "300MB"
CARBOPLATIN: Resource = {"text": "carboplatin"}


def person(identity: str) -> Resource:
    return {"resourceType": "Patient", "id": identity}


def of(identity: str, found: Resource) -> Resource:
    return {**found, "subject": {"reference": f"Patient/{identity}"}}


def written(folder: Path, **files: list[Resource] | str | bytes) -> Export:
    """An export of these files: resources, or what stands in the file in their place."""
    for name, content in files.items():
        if isinstance(content, list):
            content = "".join(json.dumps(one) + "\n" for one in content)
        data = content.encode() if isinstance(content, str) else content
        (folder / f"{name.replace('_gz', '.ndjson.gz')}{'' if name.endswith('_gz') else '.ndjson'}").write_bytes(data)
    return export_in(folder)


def sifted(export: Export, tmp_path: Path, **options: Any) -> tuple[Sifted, dict[str, list[tuple[str, str]]]]:
    """What was found, and the lines of each patient as (type, id)."""
    place = tmp_path / "work" / "export"
    found = sift(export, place, memory=MEMORY, **options)
    assert sifted_in(place) == found
    charts = {
        patient: [(kind, json.loads(line)["id"]) for kind, line in lines]
        for shard in shards_in(place).values()
        for patient, lines in patients_of(shard, memory=MEMORY)
    }
    return found, charts


@pytest.fixture
def bulk(tmp_path: Path) -> Path:
    (tmp_path / "bulk").mkdir()
    return tmp_path / "bulk"


def test_only_patients_with_an_order_of_the_drug_are_kept_and_their_orders_come_first(
    bulk: Path, tmp_path: Path
) -> None:
    export = written(
        bulk,
        Patient=[person("a"), person("b")],
        MedicationRequest=[of("a", order("o")), of("b", order("p", medicationCodeableConcept=CARBOPLATIN))],
        Condition=[of("a", resource("Condition", "c")), of("b", resource("Condition", "d"))],
    )
    found, charts = sifted(export, tmp_path)
    assert charts == {"a": [("MedicationRequest", "o"), ("Condition", "c"), ("Patient", "a")]}
    assert (found.shards, found.patients, found.lines) == (1, 1, 6)
    assert found.by_type == {"Condition": 2, "MedicationRequest": 2, "Patient": 2}


def test_an_export_without_the_drug_has_no_shards(bulk: Path, tmp_path: Path) -> None:
    export = written(bulk, Patient=[person("a")], MedicationRequest=[])
    found, charts = sifted(export, tmp_path)
    assert (found.shards, found.patients, charts) == (0, 0, {})


def test_an_order_that_cannot_be_told_not_to_be_of_the_drug_is_kept(bulk: Path, tmp_path: Path) -> None:
    local_code = {"coding": [{"system": "urn:local", "code": "4711"}]}
    nameless = order("n")
    del nameless["medicationCodeableConcept"]
    export = written(
        bulk, MedicationRequest=[of("a", order("o", medicationCodeableConcept=local_code)), of("b", nameless)]
    )
    assert sifted(export, tmp_path)[1].keys() == {"a", "b"}


MEDICATIONS: dict[str, Resource] = {
    "drug": {"code": {"text": "tarlatamab"}},
    "other": {"code": CARBOPLATIN},
    "mixture": {"ingredient": [{"itemReference": {"reference": "Medication/drug"}}]},
}


@pytest.mark.parametrize(
    ("medication", "with_it"), [("drug", ["drug"]), ("mixture", ["drug", "mixture"]), ("other", None)]
)
def test_an_order_by_reference_is_judged_by_its_medication_which_comes_with_it(
    medication: str, with_it: list[str] | None, bulk: Path, tmp_path: Path
) -> None:
    pointing = order("o", medicationReference={"reference": f"https://ehr.example/fhir/Medication/{medication}"})
    del pointing["medicationCodeableConcept"]
    known = [{"resourceType": "Medication", "id": name, **elements} for name, elements in MEDICATIONS.items()]
    charts = sifted(written(bulk, MedicationRequest=[pointing], Medication=known), tmp_path)[1]
    if with_it is None:
        assert charts == {}
    else:
        assert charts == {"p": [("MedicationRequest", "o"), *(("Medication", name) for name in with_it)]}


def test_a_contained_medication_is_read(bulk: Path, tmp_path: Path) -> None:
    inside = {"resourceType": "Medication", "id": "m", "code": {"text": "tarlatamab"}}
    pointing = order("o", contained=[inside], medicationReference={"reference": "#m"})
    del pointing["medicationCodeableConcept"]
    assert sifted(written(bulk, MedicationRequest=[pointing]), tmp_path)[1].keys() == {"p"}


FORMS = {
    "relative": "Patient/p1",
    "of a version": "Patient/p1/_history/2",
    "absolute": "https://ehr.example/fhir/Patient/p1",
    "urn": "urn:uuid:P1",
}


@pytest.mark.parametrize("form", FORMS)
def test_patients_are_known_in_every_form_of_a_reference(form: str, bulk: Path, tmp_path: Path) -> None:
    pointing = {**order("o"), "subject": {"reference": FORMS[form]}}
    found, charts = sifted(written(bulk, Patient=[person("p1")], MedicationRequest=[pointing]), tmp_path)
    assert charts == {"p1": [("MedicationRequest", "o"), ("Patient", "p1")]}
    assert found.references == {form if form in ("absolute", "urn") else "relative": 1}


@pytest.mark.parametrize("whose", [None, {"reference": "Group/g"}, {"reference": "urn:uuid:p9"}, {"identifier": {}}])
def test_what_names_no_patient_is_counted_and_an_order_of_the_drug_above_all(
    whose: Resource | None, bulk: Path, tmp_path: Path
) -> None:
    nobodys = [order("o"), order("q", medicationCodeableConcept=CARBOPLATIN)]
    for one in nobodys:
        one |= {"subject": whose}
    found, charts = sifted(written(bulk, Patient=[person("p1")], MedicationRequest=nobodys), tmp_path)
    assert (found.no_patient, found.orders_of_nobody, charts) == ({"MedicationRequest": 2}, 1, {})


def test_unreadable_lines_are_counted_by_file_and_do_not_stop_the_others(
    bulk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LONGEST_LINE", 2_000_000)
    good = json.dumps(order("o")).encode()
    export = written(
        bulk,
        MedicationRequest=b"\xef\xbb\xbf" + good + b"\r\n\r\n   \r\n" + b'{"resourceType":"Medic' + b"\r\n[1]\r\n",
        Patient=b'{"resourceType":"Patient","id":"p"}\n{"resourceType":"Patient","id":"\xff\xfe"}\n',
        Condition=json.dumps(resource("Condition", "c", note=[{"text": "x" * 3_000_000}])),
    )
    found, charts = sifted(export, tmp_path)
    assert charts == {"p": [("MedicationRequest", "o"), ("Patient", "p")]}
    assert found.unreadable == {"Condition.ndjson": 1, "MedicationRequest.ndjson": 2, "Patient.ndjson": 1}
    assert found.lines == 2 + 4


def test_files_may_be_compressed_many_and_in_folders(bulk: Path, tmp_path: Path) -> None:
    (bulk / "part").mkdir()
    written(bulk / "part", a=[order("o")])
    export = written(bulk, b_gz=gzip.compress(json.dumps(order("q")).encode()))
    assert sifted(export, tmp_path)[1] == {"p": [("MedicationRequest", "o"), ("MedicationRequest", "q")]}


def test_a_compressed_file_that_was_cut_off_ends_it_and_is_named(bulk: Path, tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps(order(str(n))).encode() + b"\n" for n in range(2_000)), 1)
    export = written(bulk, MedicationRequest_gz=whole[: len(whole) // 2])
    with pytest.raises(ReplayError, match=r"MedicationRequest\.ndjson\.gz"):
        sifted(export, tmp_path)
    assert sifted_in(tmp_path / "work" / "export") is None


def test_the_same_line_twice_counts_once_and_versions_stay(bulk: Path, tmp_path: Path) -> None:
    old = resource("Condition", "c", meta={"versionId": "1"})
    export = written(
        bulk, MedicationRequest=[order("o"), order("o")], Condition=[old, {**old, "meta": {"versionId": "2"}}]
    )
    found, charts = sifted(export, tmp_path)
    assert charts["p"] == [("MedicationRequest", "o"), ("Condition", "c"), ("Condition", "c")]
    assert (found.repeated, found.versions) == (1, 1)


def test_types_that_the_service_does_not_read_are_left_out_and_told(bulk: Path, tmp_path: Path) -> None:
    export = written(
        bulk, MedicationRequest=[order("o")], Encounter=[resource("Encounter")], Procedure="", AllergyIntolerance="\n"
    )
    found, _ = sifted(export, tmp_path)
    assert found.files_not_read == {"Encounter": 1}
    assert found.not_exported == ["AdverseEvent", "Condition", "MedicationAdministration", "Observation", "Patient"]


def test_patients_are_spread_over_shards_the_same_way_each_time(bulk: Path, tmp_path: Path) -> None:
    export = written(bulk, MedicationRequest=[of(f"p{n}", order(f"o{n}")) for n in range(5)])
    found, charts = sifted(export, tmp_path, patients_a_shard=2)
    assert (found.shards, found.patients, len(charts)) == (3, 5, 5)
    assert list(sifted(export, tmp_path / "again", patients_a_shard=2)[1].items()) == list(charts.items())


def test_a_file_that_changes_changes_the_export(bulk: Path) -> None:
    before = written(bulk, MedicationRequest=[order("o")])
    assert export_in(bulk).digest == before.digest
    assert written(bulk, MedicationRequest=[order("o"), order("p")]).digest != before.digest


def test_a_file_of_unreadable_lines_is_read_under_its_name_or_none(bulk: Path) -> None:
    export = written(bulk, **{"1.Condition": "{", "data": "{", "Patient.Condition": "[]"})
    assert {found.name: found.kind for found in export.files} == {
        "1.Condition.ndjson": "Condition",
        "Patient.Condition.ndjson": "",
        "data.ndjson": "",
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file in it ends in .ndjson"),
        ({"a.ndjson.gz": b"no gzip"}, "a.ndjson.gz cannot be read"),
    ],
)
def test_what_is_no_export_is_refused_in_one_line(files: Mapping[str, bytes], message: str, bulk: Path) -> None:
    for name, content in files.items():
        (bulk / name).write_bytes(content)
    with pytest.raises(ReplayError, match=message):
        export_in(bulk)
    with pytest.raises(ReplayError, match="no such folder"):
        export_in(bulk / "elsewhere")


def test_a_dose_brings_its_medication_too(bulk: Path, tmp_path: Path) -> None:
    given = dose("d", "2026-03-10")
    del given["medicationCodeableConcept"]
    given["medicationReference"] = {"reference": "Medication/drug"}
    medication = {"resourceType": "Medication", "id": "drug", "code": {"text": "tarlatamab"}}
    export = written(bulk, MedicationRequest=[order("o")], MedicationAdministration=[given], Medication=[medication])
    assert ("Medication", "drug") in sifted(export, tmp_path)[1]["p"]
