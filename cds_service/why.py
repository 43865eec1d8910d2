"""Why an answer says what it says: the rows behind each advice with their evidence, and the rows that kept silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cds_service.engine.advice import Advice, Assessment
from cds_service.knowledge.regimen import Regimen, Row
from cds_service.knowledge.sign_off import cite_text


def why(assessment: Assessment) -> Mapping[str, Any]:
    """For people who look behind the cards; holds text of the record, to be escaped.

    `advice` in the order of the cards; `applied` are rows that held and speak through others; `silent` those that were
    asked and did not hold. Each row says what it asks and which statements and label sections it rests on.
    """
    shown = {row.id for advice in assessment.advice for row in _rows(advice)}
    rows = _rows_by_id(assessment.regimen)
    return {
        "advice": [_advice(advice, rows) for advice in assessment.advice],
        "applied": [rows[row_id] for row_id in assessment.fired if row_id not in shown],
        "silent": [rows[row_id] for row_id in assessment.silent],
    }


def _rows(advice: Advice) -> Iterable[Row]:
    return (advice.row, *advice.rows)


def _rows_by_id(regimen: Regimen) -> Mapping[str, Mapping[str, Any]]:
    return {
        row.id: {
            "id": row.id,
            "table": table.name,
            "question": table.question,
            "statements": list(row.cite.statements),
            "source": cite_text(row),
            "reviewed": row.reviewed is not None,
        }
        for table in regimen.tables.values()
        for row in table.rows
    }


def _advice(advice: Advice, rows: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return {
        "topic": advice.topic,
        "action": advice.action,
        "indicator": advice.indicator,
        "order": advice.order,
        "rows": [rows[row_id] for row_id in dict.fromkeys(row.id for row in _rows(advice))],
        "evidence": [{"reference": because.reference, "shows": because.shows} for because in advice.because],
    }
