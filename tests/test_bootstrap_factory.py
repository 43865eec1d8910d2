"""The factory that production servers call, in this process."""

import gc
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from cds_service.errors import SettingError
from cds_service.settings import read_settings
from tests.auth.hospital import settings_for


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Takes back what the factory does to the whole process."""
    log = logging.getLogger("cds_service")
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    thresholds = gc.get_threshold()
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """None of our settings, in a folder where the database may be left."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CDS_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_the_factory_reads_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CDS_MAX_BODY_BYTES", "2048")
    assert app.create_app().config["MAX_CONTENT_LENGTH"] == 2048


def test_what_stands_after_the_start_is_not_collected_at_every_call(environment: pytest.MonkeyPatch) -> None:
    app.create_app()
    assert gc.get_freeze_count() > 0


def test_lines_of_the_log_are_written_once_however_often_the_factory_runs(environment: pytest.MonkeyPatch) -> None:
    logging.getLogger("cds_service").handlers = []
    app.create_app()
    app.create_app()
    assert len(logging.getLogger("cds_service").handlers) == 1


@pytest.mark.parametrize("name", ["CDS_TIMEZONE", "CDS_UNHEARD_OF"])
def test_a_wrong_or_unknown_setting_ends_the_process_with_code_2(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    environment.setenv(name, "Mars/Olympus")
    with pytest.raises(SystemExit) as ended:
        app.create_app()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(name)


def test_the_log_names_who_answers_for_rows_that_nobody_has_reviewed(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setenv("CDS_ACCEPT_UNREVIEWED", "The head of pharmacy")
    with caplog.at_level(logging.INFO, logger="cds_service"):
        logging.getLogger("cds_service").addHandler(caplog.handler)
        application = app.create_app()
        logging.getLogger("cds_service").removeHandler(caplog.handler)
    line = json.loads(caplog.messages[0])
    assert (line["event"], line["acceptedBy"]) == ("start", "The head of pharmacy")
    assert line["unreviewed"] > 0
    page = application.test_client().get("/knowledge").get_data(as_text=True)
    assert "The head of pharmacy answers for them." in page


def test_the_log_names_what_the_tokens_of_clients_have_to_be_for_where_there_are_clients(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="cds_service"):
        logging.getLogger("cds_service").addHandler(caplog.handler)
        app.build(settings_for(tmp_path, CDS_PUBLIC_URL="https://cds.example/base/"))
        app.build(read_settings({"CDS_PUBLIC_URL": "https://cds.example"}))
        logging.getLogger("cds_service").removeHandler(caplog.handler)
    registered, open_to_all = (json.loads(message) for message in dict.fromkeys(caplog.messages))
    assert registered["audience"] == "https://cds.example/base/cds-services"
    assert "audience" not in open_to_all


def test_outside_a_demonstration_unreviewed_rows_do_not_speak_unless_somebody_answers_for_them(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^CDS_ACCEPT_UNREVIEWED is not set: \d+ of \d+ rows in force are not "):
        app.build(settings_for(tmp_path, CDS_ACCEPT_UNREVIEWED=""))
    app.build(settings_for(tmp_path, CDS_ACCEPT_UNREVIEWED="The head of pharmacy"))


def test_a_demonstration_needs_nobody_to_answer_for_it() -> None:
    app.build(read_settings({}))
