"""The tables: made by the migrations, as the code has them, from every older version, by several processes at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, inspect, text

from cds_service.errors import StoreUnavailable
from cds_service.migrations import SCHEMAS
from cds_service.store import Store, main
from cds_service.tables import METADATA
from tests.feedback.bodies import accepted
from tests.feedback.test_store import AT, SIGN, decided, entry, rows, shown
from tests.support.postgres import Cluster

OF_0_1_0 = (
    """CREATE TABLE card_shown (client TEXT NOT NULL, card TEXT NOT NULL, service TEXT NOT NULL, hook TEXT NOT NULL,
       leading_row TEXT NOT NULL, topic TEXT NOT NULL, action TEXT NOT NULL, indicator TEXT NOT NULL,
       knowledge TEXT NOT NULL, shown_at {time} NOT NULL, PRIMARY KEY (client, card))""",
    """CREATE TABLE feedback ("key" TEXT NOT NULL, client TEXT NOT NULL, service TEXT NOT NULL, card TEXT NOT NULL,
       outcome TEXT NOT NULL, outcome_at {time} NOT NULL, suggestions TEXT NOT NULL, reason_system TEXT,
       reason_code TEXT, reason_display TEXT, comment TEXT, extension TEXT, received_at {time} NOT NULL,
       PRIMARY KEY ("key"))""",
    "CREATE INDEX feedback_card ON feedback (client, card)",
    """CREATE TABLE feedback_rejected ("key" TEXT NOT NULL, client TEXT NOT NULL, service TEXT NOT NULL,
       mistake TEXT NOT NULL, entry TEXT NOT NULL, received_at {time} NOT NULL, PRIMARY KEY ("key"))""",
    """INSERT INTO card_shown VALUES ('', 'old', 'tarlatamab-order-sign', 'order-sign', 'R2', 'dose',
       'restart-step-up', 'critical', 'tarlatamab 2026.1', '2026-01-20 09:00:00')""",
)


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            time = "DATETIME" if url.startswith("sqlite") else "TIMESTAMP WITH TIME ZONE"
            connection.execute(text(statement.replace("{time}", time)))


def differences(url: str) -> list[object]:
    """What the tables of the code have that the database has not, and the other way round."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, METADATA))


def test_the_code_and_the_migrated_tables_agree(url: str) -> None:
    Store(url).open()
    assert differences(url) == []


def test_a_missing_column_would_be_a_difference(url: str) -> None:
    Store(url).open()
    execute(url, "ALTER TABLE decision DROP COLUMN milliseconds")
    assert len(differences(url)) == 1


def test_the_code_names_the_revisions_that_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", "cds_service:migrations")
    steps = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(step.revision for step in steps)[::-1] == SCHEMAS


def test_a_database_of_version_0_1_0_keeps_what_it_has_and_gets_the_rest(url: str) -> None:
    execute(url, *OF_0_1_0)
    store = Store(url)
    store.open()
    assert differences(url) == []
    assert store.add_feedback([entry(accepted(card="old"))], service=SIGN, at=AT).recorded == {("R2", "accepted"): 1}


def test_a_database_of_which_a_part_was_made_is_completed(url: str) -> None:
    execute(url, OF_0_1_0[0])
    Store(url).open()
    assert differences(url) == []


def test_a_database_of_a_newer_version_is_left_alone(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    Store(url).open()
    execute(url, "UPDATE alembic_version SET version_num = '99'")
    for use in (Store(url).open, Store(url).upgrade, Store(url).check, lambda: Store(url).add_decisions([decided()])):
        with pytest.raises(StoreUnavailable, match=r"^the database has the tables of a newer version \(schema 99\)$"):
            use()
    assert main(["upgrade", "--database", url]) == 2
    assert capsys.readouterr().err == "no upgrade: the database has the tables of a newer version (schema 99)\n"
    assert rows(url, "SELECT count(*) FROM decision") == [(0,)]


def test_a_step_that_fails_leaves_nothing_of_itself(url: str) -> None:
    execute(url, "CREATE TABLE token_seen (something TEXT)")
    with pytest.raises(StoreUnavailable):
        Store(url).open()
    assert inspect(create_engine(url, poolclass=NullPool)).get_table_names() == ["token_seen"]


def test_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    command = [sys.executable, "-m", "cds_service.store", "upgrade", "--database", url]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(4)]
    told = [process.communicate(timeout=60)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, told
    assert rows(url, "SELECT version_num FROM alembic_version") == [("3",)]


def test_stores_that_open_at_once_in_one_process_make_the_tables_once(url: str) -> None:
    stores = [Store(url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda store: store.add_decisions([decided(shown("c1"))]), stores))
    assert rows(url, "SELECT card FROM card_shown") == [("c1",)]


def test_the_upgrade_by_hand_says_what_the_database_has_now(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["upgrade", "--database", url]) == 0
        assert capsys.readouterr().out == "the database has the tables of this version (schema 3)\n"


def test_a_postgresql_account_that_may_make_no_tables_serves_on_tables_that_another_made(cluster: Cluster) -> None:
    url = cluster.database()
    Store(url).upgrade()
    role = f"clerk_{url.rpartition('/')[2]}"
    rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    execute(url, f"CREATE ROLE {role} LOGIN", rights)
    store = Store(url.replace("postgres@", f"{role}@"))
    store.open()
    store.check()
    store.add_decisions([decided(shown("c1"))])
    assert store.is_new_token(client="one", jti="t", expires_at=AT, at=AT)  # the first of a process also cleans up
    assert store.is_new_token(client="one", jti="t2", expires_at=AT, at=AT)
    assert store.add_feedback([entry(accepted(card="c1"))], service=SIGN, at=AT).recorded == {("R2", "accepted"): 1}
    assert len(store.decisions()) == 1


@pytest.mark.parametrize("url_of_none", ["sqlite:////no/such/folder/x", "nonsense"])
def test_an_upgrade_of_nothing_ends_with_code_2(url_of_none: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", "--database", url_of_none]) == 2
    assert capsys.readouterr().err.startswith("no upgrade: ")


def test_the_steps_are_in_the_package_that_is_installed() -> None:
    folder = Path(__file__).resolve().parent.parent.parent / "cds_service" / "migrations"
    assert {path.name for path in folder.glob("**/*.py")} >= {"env.py", "v1_cards_and_feedback.py"}
    assert all((folder / name / "__init__.py").is_file() for name in ("", "versions"))
