"""Marks that stand for everything of a patient, and an ear that hears all that a process says while it lasts."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

MARK: Final = "qzx"
"""Stands in whatever may never be told on."""
TOLD: Final = "qzf"
"""Stands in what clinicians wrote in feedback: the store keeps it, and nothing else does."""

Path = tuple[str | int, ...]

NAME: Final = f"Ottokar {MARK}-Weiss"
ID: Final = f"p-{MARK}-1"
BORN: Final = "1931-07-23"
"""A birth date that stands for nothing else in a test."""
SECRET: Final = f"access-{MARK}-token"


def leaves(said: Any, above: Path = ()) -> Iterator[Path]:
    """Where each text stands."""
    if isinstance(said, str):
        yield above
    parts: Any = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for step, part in parts:
        yield from leaves(part, (*above, step))


def with_text(body: Mapping[str, Any], path: Path, text: str, *, suffixed: bool) -> dict[str, Any]:
    """The body with this text at a place, or behind what stands there."""
    changed: dict[str, Any] = copy.deepcopy(dict(body))
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = holder[path[-1]] + text if suffixed else text
    return changed


def marked(body: Mapping[str, Any], *, but: Sequence[str] = ("hook", "hookInstance", "resourceType")) -> dict[str, Any]:
    """The body with every text marked, but those of these members."""

    def mark(said: Any, name: str) -> Any:
        if isinstance(said, dict):
            return {member: mark(part, member) for member, part in said.items()}
        if isinstance(said, list):
            return [mark(part, name) for part in said]
        return f"{said} {MARK}" if isinstance(said, str) and name not in but else said

    found: dict[str, Any] = mark(body, "")
    return found


def of_a_marked_patient(body: Mapping[str, Any]) -> dict[str, Any]:
    """A call that can be read whole: its patient has a marked id, name, address and birth date, and notes name them.

    Encounter, practitioner, drafts and the access token are marked, too.
    """
    changed = copy.deepcopy(dict(body))
    context = changed["context"]
    old = context["patientId"]

    def renamed(said: Any) -> Any:
        if isinstance(said, dict):
            return {name: renamed(part) for name, part in said.items()}
        if isinstance(said, list):
            return [renamed(part) for part in said]
        return said.replace(old, ID) if isinstance(said, str) else said

    changed = {**renamed(changed), "hook": body["hook"], "hookInstance": body["hookInstance"]}
    context = changed["context"]
    context |= {"userId": f"Practitioner/{MARK}-7", "encounterId": f"enc-{MARK}"}
    changed |= {
        "fhirServer": "http://127.0.0.1:9/fhir",
        "fhirAuthorization": {"access_token": SECRET, "token_type": "Bearer", "subject": f"{MARK}-subject"},
        "extension": {f"{MARK}.member": NAME},
    }
    for found in _resources(changed):
        found |= {"note": [{"text": f"{NAME} was born on {BORN}"}], "description": NAME, "comment": NAME}
        if found["resourceType"] == "Patient":
            found |= {"birthDate": BORN, "name": [{"text": NAME, "family": NAME}], "telecom": [{"value": f"+1 {MARK}"}]}
    return changed


def _resources(said: Any) -> Iterator[dict[str, Any]]:
    if isinstance(said, dict):
        if isinstance(said.get("resourceType"), str) and said["resourceType"] != "Bundle":
            yield said
        for part in said.values():
            yield from _resources(part)
    elif isinstance(said, list):
        for part in said:
            yield from _resources(part)


def feedback(card: str = f"card {TOLD}") -> dict[str, Any]:
    """What a clinician did, in words that name the patient; and three entries that cannot be read."""
    words = {"reason": {"code": f"code {TOLD}", "system": f"urn:{TOLD}", "display": TOLD}, "userComment": TOLD}
    moment = "2026-01-20T09:00:00Z"
    return {
        "feedback": [
            {"card": card, "outcome": "overridden", "outcomeTimestamp": moment, "overrideReason": words},
            {"card": f"{card} {TOLD}", "outcome": f"{TOLD}", "outcomeTimestamp": moment},
            {"card": TOLD, "outcome": "accepted", "outcomeTimestamp": TOLD, TOLD: TOLD},
            TOLD,
        ]
    }


class Ear(logging.Handler):
    """Keeps every line of every logger, with what a formatter makes of an exception."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(threadName)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        record.exc_text = None
        self.said.append(self.format(record))

    def forget(self) -> None:
        self.said.clear()


LOGGERS: Final = (
    *("", "cds_service", "werkzeug", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.engine.Engine", "sqlalchemy.pool"),
    *("urllib3", "urllib3.connectionpool", "urllib3.connection", "urllib3.response", "urllib3.util.retry"),
    *("requests", "concurrent.futures", "flask", "flask.app", "jwt", "py.warnings", "alembic"),
)


@contextmanager
def listening() -> Iterator[Ear]:
    """While this lasts every logger is at its most talkative and heard, and so are warnings."""
    ear = Ear()
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    loud = [logging.getLogger(), logging.getLogger("cds_service")]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)
        for logger in loud:
            logger.addHandler(ear)
        try:
            yield ear
        finally:
            logging.captureWarnings(False)
            for logger in loud:
                logger.removeHandler(ear)
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def leaks(*texts: str | bytes, marks: Sequence[str] = (MARK, TOLD, BORN)) -> list[str]:
    """What of these texts tells on a patient: the surroundings of each mark."""
    found = []
    for text in texts:
        plain = text.decode("latin-1") if isinstance(text, bytes) else text
        for mark in marks:
            place = plain.lower().find(mark)
            if place >= 0:
                found.append(plain[max(0, place - 200) : place + 60])
    return found
