"""Every item of the checklist has a test or a reason, and docs/conformance.md says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds_service.errors import KnowledgeError
from tests.conformance import checklist
from tests.conformance.checklist import Item, Section, Test, complaints, items, marked, sections
from tests.conformance.pages import PAGE, page


def test_every_item_has_a_test_or_a_reason() -> None:
    assert complaints() == []


def test_the_generated_document_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.conformance"


def test_the_checklist_is_whole() -> None:
    expected = [*(f"C{n}" for n in range(1, 120)), *(f"J{n}" for n in range(1, 14)), *(f"K{n}" for n in range(1, 7))]
    assert [item.id for section in sections() for item in section.items] == expected


def test_no_cell_of_the_tables_is_empty_but_the_first_of_a_heading() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert not line.startswith("| ") or cells[0] == "" or all(cells), line


def test_every_marked_test_that_runs_is_one_that_was_read(request: pytest.FixtureRequest) -> None:
    """A mark put on in a way that the source does not show would be missing in the document."""
    runs = {item.nodeid.partition("[")[0].rpartition("::")[2] for item in request.session.items if _marks(item)}
    assert runs <= {test.name for test in marked()}
    assert "test_the_generated_document_is_fresh" not in runs


def _marks(item: pytest.Item) -> list[pytest.Mark]:
    return list(item.iter_markers("conforms"))


# --- what the check finds --------------------------------------------------------------------------------------------


def item(**changes: Any) -> Item:
    return replace(Item(id="C1", level="SHALL", versions="all", says="x"), **changes)


def found(*given: Item, marks: tuple[str, ...] = ()) -> list[str]:
    tests = [Test(name="test_it", file="test_x.py", items=marks)] if marks else []
    return complaints([Section(heading="A", items=given)], tests)


def test_an_item_without_test_and_reason_is_found() -> None:
    assert found(item()) == ["C1: no test is marked with it, and no reason is given"]
    assert found(item(), marks=("C1",)) == []


def test_a_mark_of_no_item_is_found() -> None:
    assert found(item(), marks=("C1", "C120")) == ["test_it: is marked with C120, which is no item"]


@pytest.mark.parametrize("level", ["SHALL", "SHALL NOT", "SHOULD", "SHOULD / MAY"])
def test_a_demand_that_is_left_out_needs_an_argument_beside_the_reason(level: str) -> None:
    left_out = item(level=level, standing="deliberately_not", why="we have none")
    assert found(left_out) == [f"C1: a {level} is left out without an argument"]
    assert found(replace(left_out, argument="because it is optional")) == []


@pytest.mark.parametrize("level", ["MAY", "REC"])
def test_what_may_be_left_out_needs_a_reason_alone(level: str) -> None:
    assert found(item(level=level, standing="deliberately_not", why="we have none")) == []


def test_an_argument_for_what_is_not_left_out_is_found() -> None:
    assert found(item(argument="x"), marks=("C1",)) == ["C1: argues for leaving out what is not left out"]


def test_an_item_that_stands_in_two_ways_or_twice_is_found() -> None:
    assert found(item(standing="binds", why="client: x", more=("later",))) == ["C1: is binds, later; one of them"]
    assert found(item(), item(), marks=("C1",)) == ["C1: stands twice"]


def test_whom_an_item_binds_is_said() -> None:
    assert found(item(standing="binds", why="the EHR")) == [
        "C1: binds takes client: or nobody:, with what that means here"
    ]


def test_two_marked_tests_of_one_name_are_found() -> None:
    twice = [Test(name="test_it", file=file, items=("C1",)) for file in ("test_x.py", "test_y.py")]
    assert complaints([Section(heading="A", items=(item(),))], twice) == [
        "test_it: several marked tests have this name"
    ]


def test_a_mistyped_key_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "items.yaml"
    file.write_text("sections:\n- heading: A\n  items:\n  - {id: C1, level: SHALL, versions: all, say: x}\n", "utf-8")
    with pytest.raises(KnowledgeError, match=r"items.yaml:4 "):
        sections(file)


def test_marks_are_read_from_functions_that_pytest_would_run(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.conforms('C1', 'C2')\n@pytest.mark.parametrize('x', [1])\ndef test_a(x): ...\n\n"
        "@pytest.mark.conforms('C3')\ndef helper(): ...\n\ndef test_b(): ...\n",
        encoding="utf-8",
    )
    assert checklist.marked(tmp_path) == (Test(name="test_a", file="test_x.py", items=("C1", "C2")),)


def test_every_number_that_a_mark_names_is_an_item() -> None:
    assert {name for test in marked() for name in test.items} <= set(items())
