"""The knowledge as a pharmacist reads it on a page: tables in groups, each row with its words, sources and review."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cds_service.knowledge.regimen import Origin, Regimen, Row, Table
from cds_service.knowledge.sign_off import columns_text, state_text, words

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Dosing and delay": ("schedule", "delay", "dose"),
    "Toxicity: stop, hold, resume": ("stop", "hold", "resume"),
    "Grades": ("lab_grades", "crs_grades", "ice_grades"),
    "Monitoring and administration": ("observation", "observation_after_toxicity", "premedication", "administration"),
    "Patients": ("population",),
    "Other moments: chart, discharge, appointment": ("course", "discharge", "booking"),
    "What stands in cards beside the advice": ("lines", "record", "suggestions", "override_reasons"),
}
"""The order of the page. A table that is in no group comes last: none is left out."""

OTHER: Final = "Further tables"
HITS: Final = {
    "unique": "exactly one row holds",
    "first": "the first that holds speaks",
    "collect": "all that hold speak",
}
ORIGINS: Final = {
    Origin.SEED: "seed only",
    Origin.LABEL: "label only",
    Origin.BOTH: "seed and label",
    Origin.LOCAL: "local",
    Origin.SEED_ALONE: "seed only",
}


def as_sheet(regimen: Regimen, accepted_by: str = "", statements: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All that the page shows, as texts. `statements`: what a statement or difference says, by its number."""
    said = statements or {}
    grouped = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in regimen.tables if name not in grouped)
    return {
        "name": regimen.name,
        "drug": regimen.drug,
        "version": regimen.version,
        "sources": regimen.sources.value,
        "label": regimen.label,
        "label_url": regimen.label_url,
        "compared_on": regimen.last_checked_against_label_on,
        "state": state_text(regimen, accepted_by),
        "numbers": [
            (words(name), str(value)) for values in (regimen.doses, regimen.numbers) for name, value in values.items()
        ],
        "groups": [
            {"title": title, "tables": [_table(regimen.tables[name], said) for name in names if name in regimen.tables]}
            for title, names in {**GROUPS, **({OTHER: others} if others else {})}.items()
        ],
    }


def _table(table: Table, said: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": words(table.name).capitalize(),
        "question": table.question,
        "hit": HITS[table.hit.value],
        "rows": [_row(row, table, said) for row in table.rows],
    }


def _row(row: Row, table: Table, said: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "when": columns_text(row, table.inputs) or "always",
        "then": columns_text(row, table.outputs) or "–",
        "says": [*row.say.values(), *row.detail],
        "origin": ORIGINS[row.origin],
        "statements": [(number, said.get(number, "")) for number in row.cite.statements],
        "label": row.cite.label,
        "differences": [(number, said.get(number, "")) for number in row.cite.differences],
        "why": row.cite.why,
        "reviewed": None if row.reviewed is None else f"{row.reviewed.who}, {row.reviewed.when}",
        "digest": row.digest,
    }
