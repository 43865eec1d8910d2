"""Cards: the words, what programs read, and that text of the record never becomes markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from cds_service import cards, wire
from cds_service.engine.advice import Advice, Assessment, Because, Line
from cds_service.knowledge.loader import load
from cds_service.knowledge.regimen import Review, Sources
from fhir_mappings.facts import (
    Analyte,
    CancerFinding,
    DrugAllergy,
    FertilityFinding,
    NotRecorded,
    PregnancyFinding,
    Reading,
    Route,
)
from tests.engine.builders import (
    AT,
    HOOK_INSTANCE,
    WOMAN,
    ZONE,
    Answer,
    ask,
    cancer,
    course,
    crs,
    extension_of,
    fertility,
    give,
    lab,
    labs_but,
    mg,
    neuro,
    on_record,
    order,
    pregnancy,
    read,
    rulebook,
    saline,
    seed,
    state_of,
    steroid,
)

SCHEMA: Final = json.loads((Path(__file__).parent / "cds_hooks" / "response.schema.json").read_text(encoding="utf-8"))
REGIMEN: Final = load()
EVIL: Final = (
    "<img src=x onerror=alert(1)> [click](https://evil.example) **bold** `code` https://evil.example a@evil.example"
)


# --- the example of the contract -------------------------------------------------------------------------------


def test_the_extension_is_that_of_the_contracts_example() -> None:
    """contract section 4: 1 mg given on 2026-01-05, 10 mg ordered for 15 days later."""
    answer = ask(order("10", 0, 1), give(-15, "1", ref="a1"))
    card = answer.card("dose/restart-step-up")
    assert json.loads(wire.encode(card))["extension"] == {
        "org.tarlatamab-cds.advice": {
            "topic": "dose",
            "action": "restart-step-up",
            "rows": ["R2"],
            "statements": ["S3"],
            "orders": ["MedicationRequest/d1"],
            "expected": [{"order": "MedicationRequest/d1", "dose": "1 mg", "position": "C1D1", "dueOn": "2026-01-20"}],
            "evidence": [
                {"reference": "MedicationAdministration/a1", "shows": "1 mg given on 2026-01-05, 15 days before"}
            ],
            "asOf": "2026-01-20",
            "knowledge": "tarlatamab 2026.1",
        }
    }


@pytest.mark.conforms("C63", "C66", "C68")
def test_the_source_names_the_label_its_section_and_the_leading_row() -> None:
    source = ask(order("10"), give(-15, "1")).card("dose/restart-step-up").source
    assert source.label == "Imdelltra US PI 2025-11, Table 4"
    assert source.url == REGIMEN.label_url
    assert source.topic is not None
    assert (source.topic.system, source.topic.code, source.topic.display) == (
        "https://tarlatamab-cds.example.org/CodeSystem/row",
        "R2",
        "dose: restart-step-up",
    )


def test_with_the_seed_alone_the_source_is_the_commissioning_text() -> None:
    assert seed(order("10")).card("dose/change-dose").source.label == "Commissioning text, S3, S4"


def test_a_rule_without_statement_and_label_is_a_local_one() -> None:
    local = next(r for r in REGIMEN.rows() if not r.cite.label and not r.cite.statements)
    advice = Advice(
        topic="record", action="cannot-assess", indicator="info", row=local, order="", slots={}, sentence="line"
    )
    assert render_one(advice).source.label == "Local rule of this service"


def test_the_detail_ends_with_its_sources_and_says_that_nobody_reviewed_it() -> None:
    detail = ask(order("10"), give(-15, "1")).text("dose/restart-step-up")
    assert "**Source**\nImdelltra US PI 2025-11, Table 4; seed S3; D-19" in detail
    assert detail.endswith("Row R2. Not yet clinically reviewed.")


def test_a_reviewed_row_names_who_and_when() -> None:
    row = replace(REGIMEN.table("delay").row("R2"), reviewed=Review(who="A. Pharmacist", when="2026-02-01", digest="x"))
    assert cards.citation((row,), REGIMEN).endswith("Row R2. Reviewed by A. Pharmacist (2026-02-01).")
    unreviewed = REGIMEN.table("delay").row("R4")
    assert cards.citation((row, unreviewed), REGIMEN).endswith("Rows R2, R4. Not yet clinically reviewed.")


# --- markup ----------------------------------------------------------------------------------------------------


def evil_calls() -> list[tuple[str, Answer]]:
    routine = course(4, -14)
    stopped = on_record("stopped", -30, stopped_for_toxicity=True, status_reason=EVIL)
    evil_companions = (steroid("4", name=EVIL, recorded=EVIL), saline(name=EVIL, recorded=EVIL))
    return [
        ("allergy", ask(order("10"), *routine, DrugAllergy(reference=f"AllergyIntolerance/{EVIL}", name=EVIL))),
        ("toxicity", ask(order("10"), give(-7, "1"), crs(1, -5, label=EVIL))),
        ("amount", ask(order(mg("10", doubt=f"the unit is {EVIL}", recorded=EVIL)), *routine)),
        ("no amount", ask(order(mg(None, doubt=EVIL, recorded=EVIL)), *routine)),
        ("route", ask(order("10", route=Route.OTHER, route_recorded=EVIL), *routine)),
        ("reason", ask(order("10"), *routine, stopped)),
        ("position", ask(order("10", position_named=EVIL), *routine)),
        ("no history", ask(order("10", position_named=EVIL))),
        ("note", ask(order("10", day_note=EVIL), *routine)),
        ("companion", ask(order("10"), give(-7, "1"), companions=evil_companions)),
        ("method", ask(order("1"), fertility(FertilityFinding.OTHER_CONTRACEPTION, EVIL), patient=WOMAN)),
        ("effective", ask(order("1"), fertility(FertilityFinding.EFFECTIVE_CONTRACEPTION, EVIL), patient=WOMAN)),
        ("refusal", ask(order("10"), *routine, lab(Analyte.PLATELETS, None, -1, refused=EVIL))),
        ("gap", ask(order("10"), *routine, needs=[read("conditions", Reading.PARTIAL, EVIL)])),
        ("cancer", ask(order("1"), cancer=(cancer_named(EVIL),))),
        ("order id", ask(order("10", order=f"MedicationRequest/{EVIL}"))),
    ]


def cancer_named(name: str) -> Any:
    return replace(cancer(CancerFinding.NOT_SMALL_CELL, -300), name=name)


EVIL_CALLS: Final = evil_calls()


@pytest.mark.conforms("C64")
@pytest.mark.parametrize("answer", [call for _, call in EVIL_CALLS], ids=[name for name, _ in EVIL_CALLS])
def test_text_of_the_record_never_becomes_html_markdown_or_a_link(answer: Answer) -> None:
    assert answer.cards
    for card in answer.cards:
        detail = card.detail or ""
        assert "<" not in detail
        assert ">" not in detail
        assert "<" not in card.summary
        assert ">" not in card.summary
        assert not re.search(r"(?<!\\)\[[^\]]*\]\(", detail)
        assert not re.search(r"https?://evil", detail)
        assert "a@evil" not in detail
        assert not re.search(r"(?<!\\)`", detail)
        assert set(re.findall(r"(?<!\\)\*\*([^*\\]+)\*\*", detail)) <= {"Why", "Source"}


@pytest.mark.parametrize("answer", [call for _, call in EVIL_CALLS], ids=[name for name, _ in EVIL_CALLS])
def test_a_summary_holds_no_link_of_the_record(answer: Answer) -> None:
    for card in answer.cards:
        assert "](" not in card.summary
        assert not re.search(r"https?:|www\.", card.summary)


def test_the_text_of_the_record_is_still_read_after_escaping() -> None:
    answer = ask(
        order("10"), *course(4, -14), DrugAllergy(reference="AllergyIntolerance/x", name="rash (mild) & fever")
    )
    assert "rash (mild) &amp; fever" in (answer.card("dose/clarify").detail or "")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nb\t c", "a b c"),
        ("<b>", "&lt;b&gt;"),
        ("a & b", "a &amp; b"),
        ("*x* _y_ `z` ~w~ #h !i $m |t|", r"\*x\* \_y\_ \`z\` \~w\~ \#h \!i \$m \|t\|"),
        ("[a](b)", r"\[a\](b)"),
        ("\\", "\\\\"),
        ("https://a.example", "https&#8203;://a.example"),
        ("HTTP://a.example", "HTTP&#8203;://a.example"),
        ("www.a.example", "www&#8203;.a.example"),
        ("mailto:x", "mailto&#8203;:x"),
        ("a@b", "a&#64;b"),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
    ],
)
def test_each_kind_of_markup_is_made_literal(text: str, escaped: str) -> None:
    assert cards.escaped(text) == escaped


def test_a_plain_text_has_one_line_and_no_angle_brackets() -> None:
    assert cards.plain("a <b>\n c\x00d") == "a b c d"


def test_a_slot_value_with_braces_is_not_filled_again() -> None:
    assert cards.filled("Give {what}.", {"what": "{drug}", "drug": "x"}, markdown=False) == "Give {drug}."


def test_a_slot_that_nobody_filled_says_that_it_is_not_known() -> None:
    assert cards.filled("Due {due_on}.", {}, markdown=True) == "Due not known."


# --- summaries -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("summary", "shortened"),
    [
        ("x" * 139, "x" * 139),
        ("word " * 27 + "four", "word " * 27 + "four"),  # 139 characters
        ("word " * 28, ("word " * 27).rstrip() + "…"),
        ("a, " + "b" * 140, "a…"),
    ],
)
def test_a_summary_is_shorter_than_140_characters_and_cut_at_a_word(summary: str, shortened: str) -> None:
    assert cards.shortened(summary) == shortened
    assert len(cards.shortened(summary)) <= 139


@pytest.mark.conforms("C61")
@pytest.mark.parametrize("answer", [call for _, call in EVIL_CALLS], ids=[name for name, _ in EVIL_CALLS])
def test_no_summary_is_longer_than_139_characters(answer: Answer) -> None:
    for card in answer.cards:
        assert 0 < len(card.summary) <= 139


# --- one card per topic, action and indicator ------------------------------------------------------------------


def test_orders_that_say_the_same_share_one_card_with_one_entry_each() -> None:
    answer = ask(order("1"), order("10", 7, 1), order("10", 14, 2))
    assert answer.kinds == ["monitoring/monitor info"]
    extension = answer.extension("monitoring")
    assert extension.orders == ("MedicationRequest/d0", "MedicationRequest/d1", "MedicationRequest/d2")
    assert [e.position for e in extension.expected or ()] == ["C1D1", "C1D8", "C1D15"]
    assert set(extension.rows) >= {"OBS-1", "OBS-2", "OBS-3"}
    assert (
        answer.card("monitoring").summary
        == "C1D1 1 mg fits, 22–24 h in hospital; C1D8 10 mg fits, 22–24 h in hospital; "
        "C1D15 10 mg fits, observed 6–8 h."
    )


def test_rows_that_say_the_same_share_one_card_with_both_summaries_in_the_detail() -> None:
    card = ask(order("10"), give(-7, "1"), companions=()).card("premedication/order")
    assert card.summary.endswith("(+1 more: see detail)")
    assert "- Order premedication for C1D8" in (card.detail or "")
    assert "- Order hydration for C1D8" in (card.detail or "")
    assert len(card.summary) <= 139


def test_a_first_summary_without_room_for_the_count_is_cut() -> None:
    long, short = ({"what": "word " * 40}, {"what": "short"})
    other = next(r for r in REGIMEN.rows() if r.say.get("line") == "{what}")
    both = tuple(
        Advice(
            topic="record", action="cannot-assess", indicator="info", row=other, order="", slots=slots, sentence="line"
        )
        for slots in (long, short)
    )
    card = render_one(*both)
    assert card.summary.endswith("… (+1 more: see detail)")
    assert len(card.summary) <= 139


def test_cards_of_one_topic_and_another_indicator_stay_apart() -> None:
    facts = (neuro(1, -60, -58), crs(1, -40), crs(1, -3, ref="now"))
    answer = ask(order("10"), *course(4, -14), *facts)
    assert len(answer.cards) == len(set(answer.kinds))


def test_evidence_names_each_resource_once_and_none_without_a_reference() -> None:
    row = REGIMEN.table("delay").row("R2")
    because = (
        Because(reference="Condition/x", shows="a"),
        Because(reference="Condition/x", shows="a"),
        Because(reference="", shows="b"),
    )
    advice = Advice(topic="dose", action="wait", indicator="info", row=row, order="", slots={}, because=because)
    card = render_one(advice)
    assert [(e.reference, e.shows) for e in extension_of(card).evidence or ()] == [("Condition/x", "a")]
    assert (card.detail or "").count("Condition/x") == 1
    assert "- b\n" in (card.detail or "")


def test_lines_that_say_the_same_are_said_once() -> None:
    row = next(r for r in REGIMEN.rows() if r.say.get("line") == "{what}")
    line = Line(row=row, slots={"what": "once"})
    restart = REGIMEN.table("delay").row("R2")
    advice = Advice(topic="dose", action="wait", indicator="info", row=restart, order="", slots={}, lines=(line, line))
    assert (render_one(advice).detail or "").count("once") == 1


def render_one(*advice: Advice) -> wire.Card:
    assessment = Assessment(advice=advice, fired=(), silent=(), as_of=date(2026, 1, 20), regimen=REGIMEN)
    (card,) = cards.render(assessment, hook_instance=HOOK_INSTANCE)
    return card


# --- the same call ---------------------------------------------------------------------------------------------


def rendered(hook_instance: str, *facts: object) -> tuple[wire.Card, ...]:
    assessment = rulebook().assess(state_of(*facts), at=AT, zone=ZONE)
    return cards.render(assessment, hook_instance=hook_instance)


@pytest.mark.conforms("C57")
def test_the_same_call_gives_the_same_bytes_and_another_call_other_uuids() -> None:
    facts = (order("10"), give(-15, "1"), crs(2, -10, -8))
    once, again, other = rendered("one", *facts), rendered("one", *facts), rendered("two", *facts)
    assert [wire.encode(card) for card in once] == [wire.encode(card) for card in again]
    assert {card.uuid for card in once}.isdisjoint({card.uuid for card in other})


@pytest.mark.conforms("C65")
def test_each_card_of_a_call_has_its_own_uuid() -> None:
    answer = ask(order("20"), give(-15, "1"), patient=WOMAN, companions=(), cancer=())
    uuids = [card.uuid for card in answer.cards]
    assert len(set(uuids)) == len(uuids)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(uuid)) for uuid in uuids)


# --- the schema ------------------------------------------------------------------------------------------------


def calls_of_every_kind() -> list[tuple[str, Answer]]:
    return [
        ("nothing", ask()),
        ("fits", ask(order("10"), *course(4, -14))),
        ("restart", ask(order("10"), give(-15, "1"))),
        ("stop", ask(order("10"), *course(4, -14), crs(4, -50, -45))),
        ("hold", ask(order("10"), give(-7, "1"), neuro(3, -5))),
        ("many", ask(order("20"), patient=WOMAN, companions=(), cancer=(), labs=labs_but(lab(Analyte.EGFR, "20")))),
        ("pregnant", ask(order("1"), pregnancy(PregnancyFinding.PREGNANT, -5), patient=WOMAN)),
        ("gaps", ask(order("10", NotRecorded), needs=[read("conditions", Reading.UNAVAILABLE)])),
        ("select", ask(order(mg(None, absent=True), NotRecorded), give(-7, "1"), incomplete=True)),
        ("seed", seed(order("10"), *course(4, -30))),
        *EVIL_CALLS,
    ]


@pytest.mark.parametrize("answer", [a for _, a in calls_of_every_kind()], ids=[n for n, _ in calls_of_every_kind()])
def test_every_answer_is_valid_by_the_schema_of_the_specification(answer: Answer) -> None:
    body = json.loads(wire.encode(wire.CdsResponse(cards=answer.cards)))
    jsonschema.validate(body, SCHEMA | {"$ref": "#/$defs/response"})


def test_the_citation_of_the_seed_alone_names_no_label() -> None:
    regimen = load(sources=Sources.SEED)
    row = next(row for row in regimen.rows() if row.cite.label and row.cite.statements)
    assert "US PI" not in cards.citation((row,), regimen)
    assert row.cite.statements[0] in cards.citation((row,), regimen)


def test_a_local_rule_is_not_passed_off_as_the_labels() -> None:
    """CLARIFY-ALLERGY is local; it names the label only to compare."""
    allergy = DrugAllergy(reference="AllergyIntolerance/x", name="tarlatamab")
    card = ask(order("10"), *course(3, -14), allergy).card("dose/clarify")
    assert card.source.label == "Local rule of this service"
    assert "US PI" not in (card.detail or "")
    assert "local rule; D-20" in (card.detail or "")


def test_a_rule_of_the_seed_alone_is_named_as_the_commissioning_texts() -> None:
    answer = ask(order("10"), *course(3, -14), crs(3, -13, -8))
    assert answer.card("crs/restart-step-up").source.label == "Commissioning text, S26"


def test_a_table_that_several_rows_cite_is_named_once() -> None:
    regimen = load()
    rows = tuple(row for row in regimen.rows() if row.id in ("COURSE-NEXT", "SCH-C1D8", "R1"))
    assert len(rows) == 3
    assert cards.citation(rows, regimen).count("Table 4") == 1
