"""The command as an analyst runs it: its report, going on after a kill, two versions compared, a cluster asked."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cds_service.knowledge import loader
from cds_service.replay import __main__ as command
from cds_service.replay import job
from cds_service.replay.summary import COLUMNS
from tests.replay.exports import knowledge_with_a_limit_of_13_days, write_export
from tests.replay.story import STEROID, Resource, dose, order, resource, updated
from tests.support.running import ROOT

ZONE = ["--timezone", "Europe/Berlin"]
GIVEN = date(2026, 2, 23)


def course(patient: str, second_after_days: int) -> list[Resource]:
    """A man who got 1 mg on 23 February, and an order for 10 mg so many days after."""
    signed = f"{GIVEN + timedelta(days=second_after_days)}T09:00:00+01:00"
    first = "2026-02-23T09:00:00+01:00"
    return [
        {"resourceType": "Patient", "id": patient, "gender": "male", "birthDate": "1960-01-01"},
        *(
            {**found, "id": f"{patient}-{found['id']}", "subject": {"reference": f"Patient/{patient}"}}
            for found in (
                order("o1", mg=1, authored=first, **updated(first)),
                dose("d1", "2026-02-23T10:00:00+01:00", mg=1),
                order("o2", authored=signed, **updated(signed)),
                order("s", authored=signed, medicationCodeableConcept=STEROID),
            )
        ),
    ]


IN_TIME, AT_THE_BORDER, LATE = course("a", 7), course("b", 14), course("c", 15)
UNDATED = {**order("undated", authored=None), "subject": {"reference": "Patient/a"}}


def replay(*arguments: str | Path) -> int:
    return command.main([str(argument) for argument in arguments])


def table(out: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as base:
        return base.execute(query.replace("CARDS", f"'{out}'")).fetchall()


@pytest.fixture
def bulk(tmp_path: Path) -> Path:
    return write_export(tmp_path / "bulk", [*IN_TIME, *AT_THE_BORDER, *LATE, UNDATED])


def test_the_report_counts_patients_orders_and_cards(
    bulk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cards.parquet"
    assert replay(bulk, "--out", out, *ZONE, "--plain-ids") == 0
    report = capsys.readouterr().out
    assert report == out.with_suffix(".md").read_text(encoding="utf-8")
    for line in (
        "| patients with orders | 3 |",
        "| orders | 7 |",
        "| orders with cards | 6 |",
        "| orders without cards: assessed, nothing to say | 0 |",
        "| **orders that were not assessed** | 1 |",
        "| R2 | critical | dose/restart-step-up | 1 | 16.7 |",
        "- **not assessed**, 1 order: the order does not say when it was written",
        "16 lines read: MedicationAdministration 3, MedicationRequest 10, Patient 3.",
    ):
        assert line in report
    restarts = """SELECT patient, "order", "rows"[1] FROM CARDS WHERE action = 'restart-step-up'"""
    assert table(out, restarts) == [("c", "MedicationRequest/c-o2", "R2")]
    assert [name for name, *_ in table(out, "DESCRIBE FROM CARDS")] == list(COLUMNS)
    assert not (tmp_path / "cards.parquet.work").exists()


def test_ids_are_pseudonyms_that_stay_the_same_for_one_secret(bulk: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of this hospital")
    found = []
    for name in ("one", "two", "new"):
        salt: list[str | Path] = [] if name == "new" else ["--salt", tmp_path / "secret"]
        out = tmp_path / f"{name}.parquet"
        assert replay(bulk, "--out", out, *ZONE, *salt) == 0
        found.append(table(out, """SELECT DISTINCT patient, "order" FROM CARDS ORDER BY ALL"""))
    assert found[0] == found[1] != found[2]
    said = [text for rows in found for row in rows for text in row]
    assert {len(text) for text in said} == {20}


def test_two_versions_are_compared_in_a_prescribers_words(bulk: Path, tmp_path: Path) -> None:
    out, old = tmp_path / "cards.parquet", knowledge_with_a_limit_of_13_days(tmp_path)
    assert replay(bulk, "--out", out, *ZONE, "--plain-ids", "--against", old) == 0
    restarts = "SELECT DISTINCT patient FROM CARDS WHERE cards_changed AND moment < '2026-03-10'"
    assert table(out, restarts) == [("b",)]
    report = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "6 orders asked" in report
    assert (
        "**before** critical dose: restart-step-up: Restart at 1 mg: 14 days since the 1 mg dose on 2026-02-23; "
        "the limit is 13 days." in report
    )
    assert "- order MedicationRequest/b-o2 of 2026-03-09" in report


def test_a_type_without_a_file_is_told_and_none_of_it_can_be_said(bulk: Path, tmp_path: Path) -> None:
    (bulk / "AdverseEvent.000.ndjson").unlink()
    told, none = tmp_path / "told.parquet", tmp_path / "none.parquet"
    assert replay(bulk, "--out", told, *ZONE) == 0
    assert replay(bulk, "--out", none, *ZONE, "--none", "AdverseEvent") == 0
    records = "SELECT count(*) FROM CARDS WHERE topic = 'record'"
    assert "**no file of AdverseEvent**" in told.with_suffix(".md").read_text(encoding="utf-8")
    assert "no file of" not in none.with_suffix(".md").read_text(encoding="utf-8")
    assert table(told, records) > table(none, records)


def test_a_work_folder_of_yours_keeps_what_else_is_in_it(bulk: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "of yours").touch()
    assert replay(bulk, "--out", tmp_path / "new" / "x.parquet", "--work", tmp_path / "work") == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["of yours"]
    assert (tmp_path / "new" / "x.parquet").is_file()


def test_an_interruption_ends_it_in_one_line(
    bulk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_progress", interrupted)
    assert replay(bulk, "--out", tmp_path / "x.parquet") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted: the same command goes on from here"


def test_a_part_that_fails_is_told_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bulk = write_export(tmp_path / "bulk", [*IN_TIME, *LATE])
    asked = job.ask_shard

    def fails_at_the_first(shard: str, *others: Any) -> int:
        if shard.endswith("shard=0"):
            raise MemoryError
        return asked(shard, *others)

    monkeypatch.setattr(job, "ask_shard", fails_at_the_first)
    options: list[str | Path] = ["--out", tmp_path / "x.parquet", "--patients-a-part", "1", "--processes", "1"]
    assert replay(bulk, *options) == 2
    assert "1 parts could not be finished (shard=0: MemoryError)" in capsys.readouterr().err
    assert len(finished_parts(tmp_path / "x.parquet.work")) == 1


def test_an_export_without_the_drug_gives_an_empty_table(tmp_path: Path) -> None:
    bulk, out = write_export(tmp_path / "bulk", [resource("Condition")]), tmp_path / "cards.parquet"
    assert replay(bulk, "--out", out) == 0
    assert table(out, "SELECT count(*) FROM CARDS") == [(0,)]
    assert "| orders | 0 |" in out.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["duckdb", "tqdm"])
def test_without_its_libraries_it_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    assert replay(tmp_path, "--out", tmp_path / "x") == 2
    assert (
        capsys.readouterr().err
        == f"the replay needs {missing}: pip install --require-hashes -r requirements/replay.txt\n"
    )


def test_a_folder_that_is_no_export_ends_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(tmp_path, "--out", tmp_path / "x") == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("wrong", [["--timezone", "Mars/Base"], ["--against", "nowhere.yaml"]])
def test_a_wrong_option_ends_it_with_its_name(
    wrong: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        replay(tmp_path, "--out", tmp_path / "x", *wrong)
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


# --- killed, and run again --------------------------------------------------------------------------------------------


STOPS_BEFORE_THE_END = """
import sys, time
from cds_service.replay import job
from cds_service.replay.__main__ import main

asked, ahead = job.ask_shard, iter(range(40))


def ask_shard(*given):
    if next(ahead, None) is None:
        time.sleep(600)
    return asked(*given)


job.ask_shard = ask_shard
sys.exit(main(sys.argv[1:]))
"""
"""The command, which waits after 40 parts: however late the kill comes, it comes before the end."""


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", STOPS_BEFORE_THE_END, *map(str, arguments)]
    return subprocess.Popen(line, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL, text=True)


def finished_parts(work: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in work.glob(f"export-{'?' * 16}/rows-*/*.ndjson")}


def test_a_killed_replay_goes_on_where_it_was_and_gives_the_same(tmp_path: Path) -> None:
    patients = [course(f"p{number:02}", number % 20) for number in range(60)]
    bulk = write_export(tmp_path / "bulk", [found for patient in patients for found in patient])
    out, work = tmp_path / "killed.parquet", tmp_path / "killed.parquet.work"
    arguments: list[str | Path] = [bulk, "--out", out, *ZONE, "--plain-ids", "--keep-work"]
    arguments += ["--processes", "1", "--patients-a-part", "1"]
    with started(*arguments) as process:
        try:
            until = time.monotonic() + 120
            while len(finished_parts(work)) < 3:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.005)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    before = finished_parts(work)
    assert 3 <= len(before) < 60
    assert not out.exists()
    assert replay(*arguments) == 0
    after = finished_parts(work)
    assert {name: after[name] for name in before} == before
    assert len(after) == 60
    assert replay(bulk, "--out", tmp_path / "whole.parquet", *ZONE, "--plain-ids") == 0
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_what_was_made_from_another_export_or_knowledge_is_not_used(tmp_path: Path) -> None:
    bulk = write_export(tmp_path / "bulk", AT_THE_BORDER)
    old, out = knowledge_with_a_limit_of_13_days(tmp_path), tmp_path / "cards.parquet"
    arguments: list[str | Path] = [bulk, "--out", out, *ZONE, "--plain-ids", "--keep-work"]
    restarts = "SELECT count(*) FROM CARDS WHERE action = 'restart-step-up' AND topic = 'dose'"
    found = []
    for more in ([], ["--knowledge", old], []):
        assert replay(*arguments, *more) == 0
        found.append(table(out, restarts))
    write_export(bulk, LATE)
    assert replay(*arguments) == 0
    assert [*found, table(out, restarts)] == [[(0,)], [(1,)], [(0,)], [(1,)]]


# --- a cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A Dask scheduler with two workers in processes of their own, on loopback."""
    said = "from distributed import LocalCluster\nif __name__ == '__main__':\n" + "".join(
        f"    {line}\n"
        for line in (
            "cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host='127.0.0.1')",
            "print(cluster.scheduler_address, flush=True)",
            "input()",
            "cluster.close()",
        )
    )
    with subprocess.Popen(
        [sys.executable, "-c", said], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("\n", timeout=30)


def test_a_cluster_gives_the_rows_that_this_machine_gives(bulk: Path, tmp_path: Path, scheduler: str) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert replay(bulk, "--out", here, *ZONE, "--plain-ids") == 0
    asked = [*ZONE, "--plain-ids", "--scheduler", scheduler, "--patients-a-part", "1"]
    assert replay(bulk, "--out", there, *asked) == 0
    assert there.read_bytes() == here.read_bytes()


def test_a_scheduler_that_does_not_answer_ends_it_in_one_line(
    bulk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(bulk, "--out", tmp_path / "x", "--scheduler", "nonsense://127.0.0.1:1") == 2
    assert "no Dask scheduler answers" in capsys.readouterr().err.splitlines()[-1]


def test_the_packaged_knowledge_stands_in_the_title(bulk: Path, tmp_path: Path) -> None:
    assert replay(bulk, "--out", tmp_path / "x.parquet") == 0
    title = (tmp_path / "x.md").read_text(encoding="utf-8").splitlines()[0]
    assert title == f"# What {loader.load().version} would have shown"
