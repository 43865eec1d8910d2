"""The loader refuses what it does not understand, and says in which file, on which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.errors import KnowledgeError
from cds_service.knowledge.loader import load, parse
from cds_service.knowledge.regimen import Dose, Origin, Range, Sources

SMALL = """\
drug: tarlatamab
name: Imdelltra
version: "1"
label: a label
label_url: https://label.example
last_checked_against_label_on: "2026-01-01"
doses:
  step: "10 mg"
numbers:
  days: "7"
slots: [drug, day]
tables:
  first:
    question: Which row holds?
    hit: collect
    inputs: {count: integer, share: number, span: range, kinds: texts, due: dose, early: flag}
    outputs: {topic: text, action: text, indicator: text}
    slots: [own]
    rows:
      - id: ROW-1
        when: {count: 3, share: "1.5", span: {at_least: 2, at_most: 4}, kinds: [a, b], due: "10 mg", early: yes}
        then: {topic: dose, action: wait, indicator: info}
        say: {summary: "Give {drug} on {day} {own}.", detail: ["On {day}."]}
        source: seed
        cite: {statements: [S3]}
        reviewed: none
"""


def refused(text: str) -> str:
    with pytest.raises(KnowledgeError) as refusal:
        parse(text, "k.yaml")
    return str(refusal.value)


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


def test_a_small_file_is_read_with_the_kind_of_each_column() -> None:
    regimen = parse(SMALL, "k.yaml")
    row = regimen.table("first").row("ROW-1")
    assert (row.line, row.origin, row.table) == (20, Origin.SEED, "first")
    assert row.integer("count") == 3
    assert str(row.number("share")) == "1.5"
    assert row.range("span") == Range(at_least=2, at_most=4)
    assert row.texts("kinds") == ("a", "b")
    assert str(row.dose("due")) == "10 mg"
    assert row.flag("early") is True
    assert row.flag("not declared") is False
    assert row.reviewed is None
    assert [r.id for r in regimen.rows()] == ["ROW-1"]


# --- the shape of the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: Imdelltra\n", "name: Imdelltra\nname: Imdylltra\n", "k.yaml:3 'name' stands twice"),
        ("name: Imdelltra\n", "", "k.yaml:1 'name' is missing"),
        ("name: Imdelltra\n", "name: Imdelltra\ncolour: red\n", "k.yaml:3 unknown key 'colour'; expected one of"),
        ("name: Imdelltra\n", "name:\n", "k.yaml:2 expected a text"),
        ("name: Imdelltra\n", "name: [a]\n", "k.yaml:2 expected a text"),
        ("slots: [drug, day]", "slots: drug", "k.yaml:11 expected a list"),
        ('numbers:\n  days: "7"\n', "numbers: 7\n", "k.yaml:9 expected named values"),
        ('  days: "7"\n', '  days: "7"\n  days: "8"\n', "k.yaml:11 'days' stands twice"),
        ("hit: collect", "hit: sometimes", "k.yaml:15 hit is unique, first or collect"),
        ("    question: Which row holds?\n", "", "k.yaml:14 'question' is missing"),
        ("count: integer", "count: whole", "k.yaml:16 column kind 'whole'; expected one of dose, flag, integer"),
        ("outputs: {topic: text", "outputs: {count: text, topic: text", "k.yaml:14 column 'count' is both input and"),
    ],
)
def test_a_wrong_shape_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    assert refused(changed(old, new)).startswith(said)


@pytest.mark.parametrize("value", ["1", "1mg", "01 mg", "1 ug", "1.5.0 mg", "one mg", "-1 mg", "1 mg daily"])
def test_a_dose_is_a_decimal_with_its_unit(value: str) -> None:
    said = refused(changed('step: "10 mg"', f'step: "{value}"'))
    assert said == f'k.yaml:8 expected a dose like "1 mg", not {value!r}'


@pytest.mark.parametrize("value", ["010", "1e3", ".5", "5.", "-1", "0x10", "yes", "1_000"])
def test_a_number_is_a_plain_decimal(value: str) -> None:
    assert refused(changed('days: "7"', f'days: "{value}"')) == f"k.yaml:10 expected a decimal number, not {value!r}"


# --- the columns of a row --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["012", "1.0", "-3", "three", "yes", "1234567"])
def test_a_whole_number_is_written_as_one(value: str) -> None:
    assert refused(changed("count: 3", f"count: {value}")) == f"k.yaml:21 expected a whole number, not {value!r}"


@pytest.mark.parametrize("value", ["on", "off", "true", "Yes", "1"])
def test_a_flag_is_yes_or_no(value: str) -> None:
    assert refused(changed("early: yes", f"early: {value}")) == f"k.yaml:21 expected yes or no, not {value!r}"


def test_no_is_no_and_not_a_text() -> None:
    assert parse(changed("early: yes", "early: no"), "k.yaml").rows()[0].flag("early") is False


@pytest.mark.parametrize(
    "span",
    [
        "{}",
        "{at_least: 2, more_than: 3}",
        "{at_most: 2, less_than: 3}",
        "{exactly: 2, at_least: 1}",
    ],
)
def test_a_range_has_one_lower_and_one_upper_end(span: str) -> None:
    said = refused(changed("span: {at_least: 2, at_most: 4}", f"span: {span}"))
    assert said == "k.yaml:21 expected one lower end, one upper end, both, or exactly"


@pytest.mark.parametrize("span", ["{at_least: 5, at_most: 4}", "{more_than: 3, less_than: 4}"])
def test_an_empty_range_is_refused(span: str) -> None:
    assert refused(changed("span: {at_least: 2, at_most: 4}", f"span: {span}")) == "k.yaml:21 the range is empty"


def test_a_range_with_an_end_of_another_name_is_refused() -> None:
    assert "unknown key 'up_to'" in refused(changed("at_most: 4", "up_to: 4"))


@pytest.mark.parametrize(
    ("span", "inside", "outside"),
    [
        ("{exactly: 3}", (3,), (2, 4)),
        ("{more_than: 3}", (4, 99), (3,)),
        ("{less_than: 3}", (2, 0), (3,)),
        ("{at_least: 3}", (3, 99), (2,)),
        ("{at_most: 3}", (3, 0), (4,)),
        ("{at_least: 3, at_most: 3}", (3,), (2, 4)),
    ],
)
def test_a_range_holds_what_it_says(span: str, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    read = parse(changed("span: {at_least: 2, at_most: 4}", f"span: {span}"), "k.yaml").rows()[0].range("span")
    assert all(number in read for number in inside)
    assert not any(number in read for number in outside)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count: 3,", "counts: 3,", "k.yaml:21 ROW-1: column 'counts' is not declared by its table"),
        ("topic: dose,", "subject: dose,", "k.yaml:22 ROW-1: column 'subject' is not declared by its table"),
        ("indicator: info", "indicator: urgent", "k.yaml:22 ROW-1: indicator 'urgent'; expected info, warning or crit"),
        ("kinds: [a, b]", "kinds: a", "k.yaml:21 expected a list"),
        ("kinds: [a, b]", "kinds: [a, [b]]", "k.yaml:21 expected a text"),
        ('due: "10 mg"', "due: 10", "k.yaml:21 expected a dose like"),
        ("id: ROW-1", "id: row 1", "k.yaml:20 row id 'row 1': expected capitals, digits and single dashes"),
        ("id: ROW-1", "id: ROW--1", "k.yaml:20 row id 'ROW--1'"),
        ("id: ROW-1", f"id: R{'1' * 100}", "k.yaml:20 row id"),
        ("source: seed", "source: sead", "k.yaml:24 ROW-1: source 'sead'; expected seed, label, seed+label, local"),
        ("        cite: {statements: [S3]}\n", "", "k.yaml:20 'cite' is missing"),
        ("cite: {statements: [S3]}", "cite: {}", "k.yaml:25 ROW-1: cites nothing"),
        ("cite: {statements: [S3]}", "cite: {statement: [S3]}", "k.yaml:25 unknown key 'statement'"),
        ("        source: seed\n", "", "k.yaml:20 'source' is missing"),
        ("        source: seed\n", "        source: seed\n        note: x\n", "k.yaml:25 unknown key 'note'"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    assert refused(changed(old, new)).startswith(said)


def test_a_row_id_stands_once_in_the_whole_file() -> None:
    row = SMALL[SMALL.index("      - id: ROW-1") :]
    assert refused(SMALL + row) == "k.yaml:27 row id ROW-1 stands already on line 20"


@pytest.mark.parametrize(
    ("reviewed", "said"),
    [
        ("yes", "k.yaml:26 reviewed is none, or who, when and digest"),
        ("{who: a}", "k.yaml:26 'digest' is missing"),
        ("{who: a, when: b, digest: c, how: d}", "k.yaml:26 unknown key 'how'"),
    ],
)
def test_a_review_is_none_or_whole(reviewed: str, said: str) -> None:
    assert refused(changed("reviewed: none", f"reviewed: {reviewed}")).startswith(said)


def review(digest: str) -> str:
    return f'reviewed: {{who: a pharmacist, when: "2026-01-02", digest: {digest}}}'


def test_a_review_answers_for_the_row_as_it_was_read() -> None:
    digest = parse(SMALL, "k.yaml").rows()[0].digest
    row = parse(changed("reviewed: none", review(digest)), "k.yaml").rows()[0]
    assert row.reviewed is not None
    assert (row.reviewed.who, row.reviewed.when) == ("a pharmacist", "2026-01-02")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: ROW-1", "id: ROW-2"),
        ("count: 3", "count: 4"),
        ("indicator: info", "indicator: warning"),
        ("Give {drug}", "Take {drug}"),
        ('"On {day}."', '"From {day}."'),
        ("source: seed", "source: label"),
        ("statements: [S3]", "statements: [S4]"),
    ],
)
def test_a_row_that_changed_since_its_review_ends_the_start(old: str, new: str) -> None:
    digest = parse(SMALL, "k.yaml").rows()[0].digest
    text = changed("reviewed: none", review(digest)).replace(old, new)
    now = parse(SMALL.replace(old, new), "k.yaml").rows()[0]
    assert refused(text) == (
        f"k.yaml:26 {now.id} has changed since its review of 2026-01-02: "
        f"review it again, then write digest {now.digest}"
    )


def test_the_layout_of_a_row_is_not_part_of_its_review() -> None:
    spread = changed("{topic: dose, action: wait, indicator: info}", "{indicator: info,   topic: dose, action: wait}")
    assert parse(spread, "k.yaml").rows()[0].digest == parse(SMALL, "k.yaml").rows()[0].digest


# --- sentences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("Give {dose}.", "k.yaml:23 ROW-1: slot {dose} is not declared"),
        ("Give {drug.name}.", "k.yaml:23 slot {drug.name} is no plain name"),
        ("Give {drug!r}.", "k.yaml:23 slot {drug} is no plain name"),
        ("Give {drug:>9}.", "k.yaml:23 slot {drug} is no plain name"),
        ("Give {}.", "k.yaml:23 slot {} is no plain name"),
        ("Give {drug.", "k.yaml:23 unbalanced braces"),
        ("Give drug}.", "k.yaml:23 unbalanced braces"),
    ],
)
def test_a_sentence_has_only_declared_slots(sentence: str, said: str) -> None:
    assert refused(changed("Give {drug} on {day} {own}.", sentence)).startswith(said)


def test_a_detail_sentence_has_only_declared_slots_too() -> None:
    assert refused(changed("On {day}.", "On {night}.")).startswith("k.yaml:23 ROW-1: slot {night} is not declared")


def test_a_row_must_say_something() -> None:
    assert refused(changed('say: {summary: "Give {drug} on {day} {own}.", detail: ["On {day}."]}', "say: {}")) == (
        "k.yaml:23 ROW-1: says nothing"
    )
    assert refused(changed('summary: "Give {drug} on {day} {own}.", ', "")) == "k.yaml:23 ROW-1: says nothing"


def test_a_sentence_of_another_name_is_refused() -> None:
    assert "unknown key 'title'" in refused(changed("say: {summary:", "say: {title:"))


# --- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2", "k.yaml:2 is not readable YAML"),
        ("a: b: c", "k.yaml:1 is not readable YAML"),
        ("", "k.yaml:1 is empty"),
        ("# only a comment\n", "k.yaml:1 is empty"),
        ("- a\n- b\n", "k.yaml:1 expected named values"),
        ("a: 1\n---\nb: 2\n", "k.yaml:2 is not readable YAML"),
        ("a: \x01", "k.yaml is not readable YAML: syntax"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_with_its_line(text: str, said: str) -> None:
    assert refused(text).startswith(said)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"^none\.yaml cannot be read: FileNotFoundError$"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "k.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KnowledgeError, match=r"^k\.yaml cannot be read: UnicodeDecodeError$"):
        load(binary)


def test_another_file_is_read_with_the_rows_of_its_sources(tmp_path: Path) -> None:
    file = tmp_path / "k.yaml"
    file.write_text(changed("source: seed\n", "source: label\n"), encoding="utf-8")
    assert [row.id for row in load(file).rows()] == ["ROW-1"]
    assert load(file, Sources.SEED).rows() == ()
    assert load(file, Sources.SEED).sources is Sources.SEED


# --- reading columns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "kind"), [("kinds", "int"), ("none", "int")])
def test_a_column_of_another_kind_is_an_error_not_a_guess(column: str, kind: str) -> None:
    row = parse(SMALL, "k.yaml").rows()[0]
    with pytest.raises(KnowledgeError, match=f"row ROW-1 has no {kind} column '{column}'"):
        row.integer(column)


def test_a_row_that_is_not_in_force_is_named() -> None:
    with pytest.raises(KnowledgeError, match="table first has no row ROW-9 in force"):
        parse(SMALL, "k.yaml").table("first").row("ROW-9")


@pytest.mark.parametrize(
    ("origin", "with_label", "seed_alone"),
    [
        (Origin.SEED, True, True),
        (Origin.LABEL, True, False),
        (Origin.BOTH, True, True),
        (Origin.LOCAL, True, True),
        (Origin.SEED_ALONE, False, True),
    ],
)
def test_each_origin_is_in_force_under_its_sources(origin: Origin, with_label: bool, seed_alone: bool) -> None:
    assert origin.in_force(Sources.SEED_AND_LABEL) is with_label
    assert origin.in_force(Sources.SEED) is seed_alone


def test_a_dose_is_written_without_needless_digits() -> None:
    from decimal import Decimal

    assert [str(Dose(mg=Decimal(mg))) for mg in ("1.0", "10", "0.40", "100")] == ["1 mg", "10 mg", "0.4 mg", "100 mg"]
