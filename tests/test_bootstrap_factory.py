"""The factory that production servers call, in this process."""

import gc
import logging
import os
from collections.abc import Iterator

import pytest

import app


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Takes back what the factory does to the whole process."""
    log = logging.getLogger("cds_service")
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)
    gc.unfreeze()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
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
