"""Tokens seen (C105): new once, for all processes; refused, soon, where nobody can know."""

import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cds_service.errors import StoreUnavailable
from cds_service.store import CALLS_A_CLEANING, TOKENS_A_CLEANING, Store
from tests.feedback.test_store import AT, rows
from tests.support.postgres import Cluster

SOON = AT + timedelta(minutes=5)


def is_new(store: Store, jti: str, client: str = "one") -> bool:
    return store.is_new_token(client=client, jti=jti, expires_at=SOON, at=AT)


def seconds_to_fail(store: Store) -> float:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        is_new(store, "while down")
    return time.monotonic() - started


def test_a_token_is_new_once_for_each_client_and_for_all_processes(url: str) -> None:
    store, other = Store(url), Store(url)
    assert is_new(store, "t1")
    assert not is_new(store, "t1")
    assert not is_new(other, "t1")
    assert is_new(other, "t1", client="two")
    assert is_new(store, "t2")


def test_of_many_at_once_one_is_the_first(url: str) -> None:
    stores = [Store(url) for _ in range(4)]
    stores[0].open()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: is_new(stores[number % 4], f"t{number % 10}"), range(200)))
    assert found.count(True) == 10


@pytest.mark.parametrize("jti", ["x" * 5_000, "nul\x00", "Grüße", ""])
def test_whatever_a_client_calls_its_tokens_each_is_new_once(url: str, jti: str) -> None:
    store = Store(url)
    assert [is_new(store, jti), is_new(store, jti), is_new(store, f"{jti}-")] == [True, False, True]


def test_a_token_is_forgotten_once_it_has_expired_and_a_few_at_a_time(url: str) -> None:
    store = Store(url)
    for number in range(3):
        store.is_new_token(client="one", jti=f"old{number}", expires_at=AT - timedelta(seconds=1), at=AT)
    store.is_new_token(client="one", jti="at its end", expires_at=AT, at=AT)
    for number in range(CALLS_A_CLEANING):
        is_new(store, str(number))
    kept = {jti for (jti,) in rows(url, "SELECT jti FROM token_seen")}
    assert len(kept) == CALLS_A_CLEANING + 1
    assert not any(jti.startswith("old") for jti in kept)
    assert TOKENS_A_CLEANING > CALLS_A_CLEANING  # it forgets faster than it learns


def test_a_store_that_is_there_passes_the_check_and_one_that_is_not_does_not(url: str, tmp_path: Path) -> None:
    Store(url).check()
    (tmp_path / "none").write_text("no database " * 100, encoding="utf-8")
    with pytest.raises(StoreUnavailable):
        Store(f"sqlite:///{tmp_path / 'none'}").check()
    with pytest.raises(StoreUnavailable):
        Store("postgresql+psycopg://nobody@127.0.0.1:1/none").check()


def test_a_locked_file_is_waited_for_one_second(tmp_path: Path) -> None:
    file = tmp_path / "cds.sqlite3"
    store = Store(f"sqlite:///{file}")
    assert is_new(store, "before")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert 0.9 < seconds_to_fail(store) < 4
        assert seconds_to_fail(store) < 0.5  # it was down a moment ago
        other.execute("ROLLBACK")
    time.sleep(1.1)
    assert is_new(store, "after")


def test_no_server_at_all_is_told_at_once() -> None:
    assert seconds_to_fail(Store("postgresql+psycopg://nobody@127.0.0.1:1/none")) < 1


@pytest.mark.skipif(os.name == "nt", reason="needs SIGSTOP")
def test_a_frozen_server_is_waited_for_one_second_and_then_by_one_caller_alone(cluster: Cluster) -> None:
    store = Store(cluster.database())
    assert is_new(store, "before")
    cluster.send(signal.SIGSTOP)
    try:
        assert 0.9 < seconds_to_fail(store) < 4
        assert seconds_to_fail(store) < 0.5
        time.sleep(1.1)
        with ThreadPoolExecutor(4) as pool:
            waited = sorted(pool.map(lambda _: seconds_to_fail(store), range(4)))
        assert waited[2] < 0.5
        assert waited[3] < 4  # a connection, for which the driver waits longer
    finally:
        cluster.send(signal.SIGCONT)
    time.sleep(1.1)
    assert is_new(store, "after")


def test_a_server_that_was_restarted_is_asked_again_without_a_failure(cluster: Cluster) -> None:
    store = Store(cluster.database())
    assert is_new(store, "before")
    cluster.kill()
    cluster.start()
    assert is_new(store, "after")
    assert not is_new(store, "after")
