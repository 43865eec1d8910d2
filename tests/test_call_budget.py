"""One call makes about as many calls of functions as `python -m bench.budget` last found, and leaves nothing behind."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from flask.testing import FlaskClient

from bench.budget import COUNTED, blocks_left_behind, budget, client, functions_called, post
from bench.patients import PATIENTS, of_size

MOST = 1.25
CALLS = 400
LEFT_AT_MOST = CALLS // 2  # a single kept object would be one for each


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    return client()


@pytest.mark.parametrize("patient", COUNTED)
def test_a_call_costs_at_most_a_quarter_more_than_its_budget(service: FlaskClient, patient: str) -> None:
    assert functions_called(service, PATIENTS[patient]()) <= MOST * budget()[patient]


def test_twice_the_record_costs_at_most_twice_the_calls(service: FlaskClient) -> None:
    half, whole = (functions_called(service, of_size(size)) for size in (300_000, 600_000))
    assert whole <= 2 * half


def test_the_same_call_is_counted_the_same_twice(service: FlaskClient) -> None:
    body = PATIENTS["small"]()
    assert functions_called(service, body) == functions_called(service, body)


def small_calls() -> int:
    service, body = client(), PATIENTS["small"]()
    return blocks_left_behind(lambda: post(service, body), times=CALLS)


def objects_kept() -> int:
    kept: list[object] = []
    return blocks_left_behind(lambda: kept.append(object()), times=CALLS)


def in_a_process_of_its_own(what: Callable[[], int]) -> int:
    """Where no thread or garbage of another test comes or goes while blocks are counted."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(what).result()


def test_calls_leave_nothing_behind_in_memory() -> None:
    assert in_a_process_of_its_own(small_calls) < LEFT_AT_MOST


def test_what_each_call_kept_would_be_found() -> None:
    assert in_a_process_of_its_own(objects_kept) >= LEFT_AT_MOST
