"""One call makes about as many calls of functions as `python -m bench.budget` last found, and leaves nothing behind."""

import pytest
from flask.testing import FlaskClient

from bench.budget import COUNTED, blocks_left_behind, budget, client, functions_called, post
from bench.patients import PATIENTS, of_size

MOST = 1.25


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


def test_calls_leave_nothing_behind_in_memory(service: FlaskClient) -> None:
    """Less than a block for two calls: a single kept object would be one for each."""
    body = PATIENTS["small"]()
    assert blocks_left_behind(lambda: post(service, body), times=400) < 200


def test_what_each_call_kept_would_be_found() -> None:
    kept: list[object] = []
    assert blocks_left_behind(lambda: kept.append(object()), times=300) >= 300
