"""A made Bulk Data export of any size, and how fast it is replayed with one and with two processes.

    .venv/bin/python -m bench.bulk write FOLDER [--patients 1000] [--treated 0.1]
    .venv/bin/python -m bench.bulk measure FOLDER [--rounds 3]

The same seed gives the same files. `measure` prints what it found, and keeps it (bench/replay.json) for the page that
`python -m bench` writes; with `--print` it only prints. Compare on one machine. The kept figures are of 100,000
patients, 0.005 of them treated.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, Final

import duckdb
import msgspec

from bench.patients import DIAGNOSES, DRUGS, LABORATORY, VITAL_SIGNS
from bench.replayed import Replayed, Scaling, keep, middle_of, section

Resource = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parent.parent
SEED: Final = 20_260_301
BEGIN: Final = datetime(2025, 1, 7, 8, 0, tzinfo=timezone(timedelta(hours=1)))
PATIENTS_A_FILE: Final = 25_000
KINDS: Final = (
    "Patient",
    "Condition",
    "MedicationRequest",
    "MedicationAdministration",
    "Observation",
    "Procedure",
    "AdverseEvent",
    "AllergyIntolerance",
)
UCUM: Final = "http://unitsofmeasure.org"
LOINC: Final = "http://loinc.org"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
TARLATAMAB: Final = {
    "coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "55513-077-01"}],
    "text": "tarlatamab-dlle (IMDELLTRA) IV infusion",
}
ROUTE: Final = {"coding": [{"system": "http://snomed.info/sct", "code": "47625008", "display": "Intravenous route"}]}
STEROID: Final = "dexamethasone sodium phosphate injection"
SALINE: Final = "sodium chloride 0.9 % infusion"


class Patient:
    """One invented patient: everything is in its own random numbers, so patients do not depend on each other."""

    def __init__(self, number: int, *, is_treated: bool) -> None:
        self.id = f"p{number:07}"
        self.chance = Random(f"{SEED} {number}")
        self.begin = BEGIN + timedelta(days=self.chance.randrange(300), minutes=self.chance.randrange(480))
        self.is_treated = is_treated
        self._made = 0

    def resources(self) -> Iterator[Resource]:
        """All of them, in no special order."""
        born = 1940 + self.chance.randrange(40)
        yield {
            **self._new("Patient", self.begin),
            "gender": self.chance.choice(("male", "female")),
            "birthDate": f"{born}-{self.chance.randrange(1, 13):02}-11",
        }
        for code, name in self.chance.sample(DIAGNOSES, 3):
            yield self._condition("http://hl7.org/fhir/sid/icd-10-cm", code, name, self.begin - timedelta(days=900))
        for name in self.chance.sample(DRUGS, 4):
            yield self._order({"text": name}, self.begin - timedelta(days=200), "active")
        yield from self._draw(self.begin - timedelta(days=1))
        yield from self._vital_signs(self.begin, 2)
        if self.is_treated:
            yield from self._course()

    def _new(self, kind: str, at: datetime) -> Resource:
        self._made += 1
        identity = self.id if kind == "Patient" else f"{self.id}-{self._made}"
        meta = {"versionId": "1", "lastUpdated": at.isoformat()}
        made: Resource = {"resourceType": kind, "id": identity, "meta": meta}
        if kind != "Patient":
            made["patient" if kind == "AllergyIntolerance" else "subject"] = {"reference": f"Patient/{self.id}"}
        return made

    def _condition(self, system: str, code: str, name: str, at: datetime, end: datetime | None = None) -> Resource:
        status = "resolved" if end else "active"
        return {
            **self._new("Condition", end or at),
            "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": status}]},
            "verificationStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-ver-status", "code": "confirmed"}]},
            "code": {"coding": [{"system": system, "code": code}], "text": name},
            "onsetDateTime": at.isoformat(),
            "recordedDate": (at + timedelta(minutes=20)).isoformat(),
            **({"abatementDateTime": end.isoformat()} if end else {}),
        }

    def _order(self, medication: Resource, at: datetime, status: str, dose: Resource | None = None) -> Resource:
        dosage: Resource = {"route": ROUTE}
        if dose is not None:
            dosage["doseAndRate"] = [dose]
        return {
            **self._new("MedicationRequest", at + timedelta(hours=5)),
            "status": status,
            "intent": "order",
            "medicationCodeableConcept": medication,
            "authoredOn": at.isoformat(),
            "dosageInstruction": [dosage],
        }

    def _draw(self, at: datetime) -> Iterator[Resource]:
        for code, name, unit, low, high in LABORATORY:
            found = self._observation("laboratory", code, name, unit, self.chance.uniform(low, high), at)
            yield found | {"referenceRange": [{"low": quantity(low, unit), "high": quantity(high, unit)}]}

    def _vital_signs(self, at: datetime, times: int) -> Iterator[Resource]:
        for number in range(times):
            for code, name, unit, low, high in VITAL_SIGNS:
                value = self.chance.uniform(low, high)
                yield self._observation("vital-signs", code, name, unit, value, at + timedelta(hours=number * 2))

    def _observation(self, category: str, code: str, name: str, unit: str, value: float, at: datetime) -> Resource:
        return {
            **self._new("Observation", at + timedelta(hours=1)),
            "status": "final",
            "category": [{"coding": [{"system": f"{TERMINOLOGY}/observation-category", "code": category}]}],
            "code": {"coding": [{"system": LOINC, "code": code}], "text": name},
            "effectiveDateTime": at.isoformat(),
            "issued": (at + timedelta(hours=1)).isoformat(),
            "valueQuantity": quantity(round(value, 2), unit),
        }

    def _course(self) -> Iterator[Resource]:
        """Up to ten doses, some late, some with a wrong amount, some followed by CRS that is over days later."""
        yield self._condition(
            "http://snomed.info/sct",
            "683991000119103",
            "Extensive stage primary small cell carcinoma of lung",
            self.begin - timedelta(days=300),
        )
        at = self.begin + timedelta(days=1)
        for number in range(self.chance.randrange(2, 11)):
            mg = 1 if number == 0 else 10
            mg = 11 - mg if self.chance.random() < 0.02 else mg
            yield from self._draw(at - timedelta(days=1))
            order = self._order(TARLATAMAB, at, "completed", {"doseQuantity": quantity(mg, "mg")})
            order["dosageInstruction"][0]["timing"] = {"repeat": {"duration": 60, "durationUnit": "min"}}
            yield order
            beside = at + timedelta(seconds=2)
            yield self._order({"text": STEROID}, beside, "completed", {"doseQuantity": quantity(8, "mg")})
            litre = {"doseQuantity": quantity(1000, "mL"), "rateQuantity": quantity(240, "mL/h")}
            yield self._order({"text": SALINE}, beside, "completed", litre)
            yield self._given(order, mg, at + timedelta(hours=2))
            yield from self._vital_signs(at + timedelta(hours=3), 8)
            if self.chance.random() < 0.25 / (number + 1):
                onset = at + timedelta(hours=20)
                end = onset + timedelta(days=self.chance.randrange(1, 9))
                yield self._condition(
                    "http://hl7.org/fhir/sid/icd-10-cm", "D89.831", "Cytokine release syndrome, grade 1", onset, end
                )
            at += timedelta(days=(7 if number < 2 else 14) + self.chance.choice((0, 0, 0, 0, 1, 2, 9, 21)))

    def _given(self, order: Resource, mg: int, at: datetime) -> Resource:
        return {
            **self._new("MedicationAdministration", at + timedelta(hours=1)),
            "status": "completed",
            "medicationCodeableConcept": TARLATAMAB,
            "request": {"reference": f"MedicationRequest/{order['id']}"},
            "effectivePeriod": {"start": at.isoformat(), "end": (at + timedelta(hours=1)).isoformat()},
            "dosage": {"route": ROUTE, "dose": quantity(mg, "mg")},
        }


def quantity(value: float, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def write(folder: Path, patients: int, treated: float) -> int:
    """Write the files; how many resources they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder, resources = msgspec.json.Encoder(), 0
    for part, first in enumerate(range(0, patients, PATIENTS_A_FILE)):
        with ExitStack() as opened:
            files: dict[str, BinaryIO] = {
                kind: opened.enter_context((folder / f"{kind}.{part:03}.ndjson").open("wb")) for kind in KINDS
            }
            for number in range(first, min(first + PATIENTS_A_FILE, patients)):
                is_treated = int(number * treated) < int((number + 1) * treated)
                for found in Patient(number, is_treated=is_treated).resources():
                    files[found["resourceType"]].write(encoder.encode(found) + b"\n")
                    resources += 1
    return resources


def measure(folder: Path, rounds: int) -> Scaling:
    """Replay it with one and with two processes in turns, in processes of their own."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    patients = sum(line.count(b"\n") for path in folder.glob("Patient.*") for line in path.open("rb"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "cards.parquet"
        runs = [(_run(folder, out, 1), _run(folder, out, 2)) for _ in range(rounds)]
        return Scaling(
            rounds=rounds,
            patients=patients,
            megabytes=size / 1e6,
            treated=runs[0][0][1],
            orders=_orders_in(out),
            one=middle_of([one for (one, _), _ in runs]),
            two=middle_of([two for _, (two, _) in runs]),
            largest=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6,
        )


def _run(folder: Path, out: Path, processes: int) -> tuple[Replayed, int]:
    """A whole replay, how long its parts took, and how many patients had orders."""
    command = [sys.executable, "-m", "cds_service.replay", str(folder), "--out", str(out)]
    command += ["--processes", str(processes), "--timezone", "Europe/Berlin"]
    began, cpu = time.perf_counter(), _cpu_of_children()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        said = [(time.perf_counter() - began, line) for line in process.stderr or ()]
    whole, cpu = time.perf_counter() - began, _cpu_of_children() - cpu
    if process.returncode != 0:
        sys.exit(f"the replay ended with {process.returncode}: {said[-1][1].strip() if said else 'nothing said'}")
    sifted, chosen = next((seconds, line.split()[0]) for seconds, line in said if "patients with orders" in line)
    run = Replayed(processes=processes, whole=whole, cpu=cpu, reading=sifted, asking=said[-1][0] - sifted)
    return run, int(chosen.replace(",", ""))


def _orders_in(out: Path) -> int:
    with duckdb.connect() as base:
        query = """SELECT count(DISTINCT (patient, "order", moment)) FROM read_parquet($1)"""
        return int(base.execute(query, [str(out)]).fetchall()[0][0])


def _cpu_of_children() -> float:
    """Seconds on a core of all processes that have ended: less noisy than a clock on a shared machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str]) -> None:
    """Write or measure."""
    parser = argparse.ArgumentParser(prog="bench.bulk", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=["write", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--treated", type=float, default=0.1, help="the part of them with orders of the drug")
    parser.add_argument("--rounds", type=int, default=3, help="replays with each number of processes")
    parser.add_argument("--print", action="store_true", help="print only: the record of before stays")
    given = parser.parse_args(arguments)
    if given.what == "write":
        print(f"{write(given.folder, given.patients, given.treated):,} resources in {given.folder}")
        return
    found = measure(given.folder, given.rounds)
    print(section(found))
    if not given.print:
        keep(found)


if __name__ == "__main__":
    main(sys.argv[1:])
