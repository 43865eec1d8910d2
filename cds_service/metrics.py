"""Numbers for Prometheus: how often, how fast, which rows spoke and how they were received. Nothing of a patient.

Labels take a bounded number of values: services, statuses, rows, indicators, kinds of unknowns, outcomes, kinds of
mistakes, resource types, kinds of failures, reasons, steps, versions. Each process counts for itself, unless `shared`
says that PROMETHEUS_MULTIPROC_DIR is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from cds_service.errors import Refusal, Trouble
from cds_service.fhir_failure import Failure
from cds_service.prefetch import PREFETCH, RENAMED

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000, 5_000)
"""Milliseconds; a client waits for 500 (C58)."""

READ: Final = frozenset({template.resource_type for template in PREFETCH} | RENAMED.keys() | {"Medication"})
"""The resource types that the service asks a FHIR server for. A next link is the server's, and counts as `other`."""

OTHER: Final = "other"
OK: Final = "ok"


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self, *, shared: bool = False) -> None:
        self._registry = registry = CollectorRegistry()
        self._shared = shared
        self._calls = Counter("cds_calls", "Calls of a service, by answer", ("service", "status"), registry=registry)
        self._milliseconds = Histogram(
            "cds_call_milliseconds", "Time to answer a call", ("service",), buckets=BUCKETS, registry=registry
        )
        self._cards = Counter(
            "cds_cards", "Cards sent, by topic and leading row", ("topic", "row", "indicator"), registry=registry
        )
        self._unknowns = Counter(
            "cds_unknowns", "Resources that could not be read, by kind", ("kind",), registry=registry
        )
        self._feedback_calls = Counter(
            "cds_feedback_calls", "Calls of a feedback address, by answer", ("service", "status"), registry=registry
        )
        self._feedback = Counter(
            "cds_feedback", "Feedback stored, without repeats, by leading row", ("row", "outcome"), registry=registry
        )
        self._rejected = Counter(
            "cds_feedback_rejected", "Entries of feedback that could not be read", ("mistake",), registry=registry
        )
        self._lost = Counter(
            "cds_records_lost", "Calls whose record and cards are missing in the store", registry=registry
        )

        self._reads = Histogram(
            "cds_fhir_read_milliseconds",
            "Time until a FHIR server's answer",
            ("type",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "cds_fhir_failures", "Reads of FHIR servers that failed, by kind", ("type", "failure"), registry=registry
        )
        self._refused = Counter(
            "cds_auth_failures", "Calls that were not let in, by reason", ("reason",), registry=registry
        )
        self._launches = Counter(
            "cds_smart_steps", "Steps of launches of the SMART app, by outcome", ("step", "outcome"), registry=registry
        )
        self._build = Gauge(
            "cds_build_info",
            "1; the version of the program and of the knowledge in force",
            ("version", "knowledge"),
            registry=registry,
            multiprocess_mode="max",
        )
        for reason in Refusal:
            self._refused.labels(reason)  # a first failure is then seen to rise from 0

    def runs(self, *, version: str, knowledge: str) -> None:
        """Which program with which knowledge is counted here."""
        self._build.labels(version, knowledge).set(1)

    def read(self, kind: str, milliseconds: float | None, failure: Failure | None) -> None:
        """A FHIR server was asked for resources of this type; `milliseconds` is None where it was not asked at all."""
        known = kind if kind in READ else OTHER
        if milliseconds is not None:
            self._reads.labels(known).observe(milliseconds)
        if failure is not None:
            self._failures.labels(known, failure.name.lower()).inc()

    def refused(self, reason: Refusal) -> None:
        """A call was not let in."""
        self._refused.labels(reason).inc()

    def launched(self, step: str, trouble: Trouble | None) -> None:
        """A step of a launch of the SMART app was answered: the last one, `view`, is the page."""
        self._launches.labels(step, trouble.value if trouble else OK).inc()

    def called(
        self,
        service: str,
        *,
        status: int,
        milliseconds: float,
        cards: Iterable[tuple[str, str, str]],
        unknowns: Mapping[str, int],
    ) -> None:
        """A call was answered; `cards` are (topic, row, indicator)."""
        self._calls.labels(service, str(status)).inc()
        self._milliseconds.labels(service).observe(milliseconds)
        for card in cards:
            self._cards.labels(*card).inc()
        for kind, number in unknowns.items():
            self._unknowns.labels(kind).inc(number)

    def told(
        self,
        service: str,
        *,
        status: int,
        recorded: Mapping[tuple[str, str], int],
        rejected: Mapping[str, int],
    ) -> None:
        """A feedback call was answered; `recorded` is by (row, outcome), `rejected` by kind of mistake."""
        self._feedback_calls.labels(service, str(status)).inc()
        for (row, outcome), number in recorded.items():
            self._feedback.labels(row, outcome).inc(number)
        for mistake, number in rejected.items():
            self._rejected.labels(mistake).inc(number)

    def lost(self, number: int) -> None:
        """The records of so many calls did not reach the store."""
        self._lost.inc(number)

    def text(self) -> bytes:
        """All counters in the text format of `CONTENT_TYPE`."""
        if not self._shared:
            return generate_latest(self._registry)
        of_all_processes = CollectorRegistry()
        MultiProcessCollector(of_all_processes)  # type: ignore[no-untyped-call]
        return generate_latest(of_all_processes)
