"""What a committee gets: the tables to sign, the rows nobody has answered for, and what a change would do."""

from __future__ import annotations

import functools
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import build
from cds_service import situations
from cds_service.comparison import changes
from cds_service.engine.rulebook import Rulebook
from cds_service.errors import KnowledgeError
from cds_service.knowledge import loader, review, sign_off
from cds_service.knowledge.regimen import Range, Regimen, Review, Sources
from cds_service.knowledge.sign_off import as_data, as_markdown, range_text, require_answer_for, unreviewed
from cds_service.settings import read_settings
from cds_service.situations import grid

PACKAGED = Path(loader.__file__).with_name(loader.PACKAGED)
TEXT = PACKAGED.read_text(encoding="utf-8")


@functools.cache
def reviewed(count: int) -> Regimen:
    """The packaged knowledge, its first rows signed."""
    text = TEXT
    for row in loader.load().rows()[:count]:
        signed = f"reviewed: {{who: The committee, when: 2026-11-01, digest: {row.digest}}}"
        start = text.index(f"- id: {row.id}\n")
        text = text[:start] + text[start:].replace("reviewed: none", signed, 1)
    return loader.parse(text, "signed.yaml").under(Sources.SEED_AND_LABEL)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The knowledge with a longer limit after the first 10 mg."""
    file = tmp_path / "old.yaml"
    file.write_text(
        TEXT.replace("days_since: {at_most: 21}", "days_since: {at_most: 22}").replace(
            "days_since: {more_than: 21}", "days_since: {more_than: 22}"
        ),
        encoding="utf-8",
    )
    return file


# --- sign-off -------------------------------------------------------------------------------------------------------


def test_every_row_stands_in_the_print_with_its_condition_advice_words_and_source() -> None:
    regimen = loader.load()
    printed = as_markdown(regimen)
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in printed.splitlines() if line.startswith("| ")}
    assert set(lines) >= {row.id for row in regimen.rows()}
    limit = lines["R2"]
    assert "treatment doses 0; days since at least 15 | restart; topic: dose; action: restart-step-up" in limit
    assert "Restart at 1 mg: {days} since the 1 mg dose on {last_day}; the limit is 14 days." in limit
    assert "label: seed S3; Table 4; D-19;" in limit
    assert re.search(r"\| none \([0-9a-f]{12}\) \|$", limit)
    assert "| completed from | 0.9 |" in printed
    assert "| step | 1 mg |" in printed


def test_no_cell_breaks_the_table() -> None:
    for line in as_markdown(loader.load()).splitlines():
        if line.startswith("| ") and not line.startswith(("| name", "| ---")):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 7), line


def test_the_print_says_how_many_rows_are_open_and_who_answers_for_them() -> None:
    count = len(loader.load().rows())
    assert f"{count} of {count} rows are not reviewed." in as_markdown(loader.load())
    assert "not reviewed. A | B answers for them.".replace("|", "\\|") in as_markdown(loader.load(), "A | B")
    assert "0 of" in as_markdown(reviewed(count), "nobody")
    assert "answers for" not in as_markdown(reviewed(count), "nobody")


def test_a_reviewed_row_names_who_and_when() -> None:
    regimen = reviewed(1)
    first = regimen.rows()[0]
    assert first.reviewed == Review(who="The committee", when="2026-11-01", digest=first.digest)
    assert len(unreviewed(regimen)) == len(regimen.rows()) - 1
    assert "| The committee, 2026-11-01 |" in as_markdown(regimen)
    assert as_data(regimen)["tables"]["schedule"]["rows"][0]["reviewed"] == {
        "who": "The committee",
        "when": "2026-11-01",
    }


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        (Range(at_least=3, at_most=3), "3"),
        (Range(at_least=3), "at least 3"),
        (Range(at_most=14), "at most 14"),
        (Range(at_least=3, at_most=14), "3 to 14"),
    ],
)
def test_ranges_are_said_in_words(numbers: Range, text: str) -> None:
    assert range_text(numbers) == text


def test_programs_get_the_same_rows() -> None:
    regimen = loader.load()
    data = as_data(regimen, "The head of pharmacy")
    assert (data["acceptedBy"], data["unreviewed"]) == ("The head of pharmacy", len(regimen.rows()))
    assert "acceptedBy" not in as_data(regimen)
    rows = {row["id"]: row for table in data["tables"].values() for row in table["rows"]}
    assert list(rows) == [row.id for row in regimen.rows()]
    assert rows["R2"]["when"] == {"treatment_doses": {"atLeast": 0, "atMost": 0}, "days_since": {"atLeast": 15}}
    assert rows["R2"]["then"]["restart"] is True
    assert rows["SCH-C1D8"]["then"]["dose"] == "10 mg"
    assert rows["SCH-TREATMENT"]["then"]["cycle_days"] == ["1", "15"]
    assert rows["R2"]["reviewed"] is None


def test_unreviewed_rows_need_a_name_and_reviewed_ones_need_none() -> None:
    regimen = loader.load()
    with pytest.raises(KnowledgeError, match=r"rows in force are not reviewed"):
        require_answer_for(regimen, "")
    require_answer_for(regimen, "The head of pharmacy")
    require_answer_for(reviewed(len(regimen.rows())), "")


# --- the command ----------------------------------------------------------------------------------------------------


def test_without_a_flag_it_checks_the_file_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert review.main([]) == 0
    count = len(loader.load().rows())
    assert f"{count} rows in force, no gap and no overlap; {count} rows not reviewed" in capsys.readouterr().out


def test_it_prints_the_fhir_that_a_service_gives(capsys: pytest.CaptureFixture[str]) -> None:
    given = build(read_settings({})).test_client().get("/knowledge", headers={"Accept": "application/fhir+json"})
    assert review.main(["--fhir"]) == 0
    assert json.loads(capsys.readouterr().out) == given.json


def test_it_is_a_command() -> None:
    command = [sys.executable, "-m", "cds_service.knowledge.review", "--knowledge", "no-such-file.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no-such-file.yaml cannot be read: FileNotFoundError\n"


def test_a_gap_ends_it_by_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gap.yaml"
    file.write_text(TEXT.replace("days_since: {at_most: 21}", "days_since: {at_most: 20}"), encoding="utf-8")
    assert review.main(["--knowledge", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"gap\.yaml:\d+ delay with treatment_doses 1, days_since 21: no row in force .*\n", printed.err)


def test_a_line_that_the_engine_misses_ends_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(TEXT.replace("when: {about: infusion}", "when: {about: infusions}"), encoding="utf-8")
    assert review.main(["--knowledge", str(file)]) == 2
    assert re.match(r"line\.yaml:\d+ LINE-INFUSION: ", capsys.readouterr().err)


def test_it_prints_the_tables_and_lists_the_rows_to_review(capsys: pytest.CaptureFixture[str]) -> None:
    assert review.main(["--print", "--sources", "seed"]) == 0
    assert capsys.readouterr().out == as_markdown(loader.load(sources=Sources.SEED))
    assert review.main(["--unreviewed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(loader.load().rows())
    assert re.fullmatch(r"SCH-C1D1 [0-9a-f]{12} line \d+", lines[0])


def test_the_same_knowledge_decides_alike() -> None:
    book = Rulebook(loader.load())
    assert changes(book, book, itertools.islice(grid(loader.load()), 0, None, 10)) == ()


def test_a_moved_limit_is_shown_as_the_decisions_it_changes(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review.main(["--diff", str(old)]) == 0
    vignettes, histories = capsys.readouterr().out.split("## Histories")
    assert "- V6b: " in vignettes
    changes = histories.split("\n\n")
    moved = next(change for change in changes if "last 22 days ago; 10 mg ordered" in change)
    assert "**before** info monitoring: monitor: C1D15, 10 mg fits: 22 days since the last dose." in moved
    assert "**after** critical dose: restart-step-up: Restart at 1 mg: 22 days since the first 10 mg dose" in moved
    assert "in 1 situation:\n- 1 mg and 10 mg given, the last 22 days ago; 10 mg ordered" in moved
    assert re.search(r"- and \d+ more", histories)


def test_a_package_without_the_vignettes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "VIGNETTES", "no.such.package")
    monkeypatch.setattr(situations, "grid", lambda *_: iter(()))
    said = review.difference(loader.load(), loader.load())
    assert "## Vignettes\nnot here: they come with the source, not with the package" in said
    assert "## Histories\n0 asked, 0 answered otherwise" in said


def test_sign_off_reads_no_file_and_knows_no_engine() -> None:
    assert "engine" not in Path(sign_off.__file__).read_text(encoding="utf-8")
