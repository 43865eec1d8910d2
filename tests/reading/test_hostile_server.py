"""A FHIR server that is slow, broken or dishonest: what each need says of it, how long it takes, who sees the token."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_service import fhir_client, fhir_connection
from cds_service.errors import NothingReadable
from cds_service.fhir_client import Bounds, FhirClient, FhirReader, Question
from cds_service.fhir_failure import Failure
from fhir_mappings.chart import Chart
from fhir_mappings.facts import Reading
from tests.reading.builders import KEYS, bundle, ids, outcome, read, reading, readings, resource, unknowns
from tests.reading.builders import whole_prefetch as whole
from tests.support import hostile_server as hostile
from tests.support.bombs import packed_blanks
from tests.support.hostile_server import Behaviour, answers, hostile_server, in_turn, searchset

COMPLETE, PARTIAL, UNAVAILABLE = Reading.COMPLETE, Reading.PARTIAL, Reading.UNAVAILABLE
CLINICAL = "exam,survey,therapy,procedure,social-history,activity"
BUDGET_MS = 2_000
AT_MOST_SECONDS = BUDGET_MS / 1000 + 4
"""What a busy machine may add; a read that does not keep to its budget takes twenty seconds."""

KEY = "medicationAdministrations"
CERTIFICATE = Path(__file__).with_name("localhost.pem")
TOKEN = "a-token-that-nobody-else-may-see"
BOUNDS = Bounds(pages=5, page_bytes=200_000, all_bytes=400_000)


@pytest.fixture
def client() -> Iterator[FhirClient]:
    """A budget that a server uses up that hangs: the rest has to be read meanwhile."""
    with FhirClient(budget_ms=BUDGET_MS, bounds=BOUNDS) as made:
        yield made


@pytest.fixture
def patient_client() -> Iterator[FhirClient]:
    """A budget that no working server of these tests comes near."""
    with FhirClient(budget_ms=10_000, bounds=BOUNDS) as made:
        yield made


def given(identity: str, **more: Any) -> dict[str, Any]:
    return resource("MedicationAdministration", identity, **more)


def timed(reader: FhirReader | None, prefetch: dict[str, Any] | None = None) -> Chart:
    started = time.monotonic()
    chart = read(prefetch, reader=reader)
    assert time.monotonic() - started < AT_MOST_SECONDS
    return chart


# --- each way of failing --------------------------------------------------------------------------------------------


@pytest.mark.conforms("C44")
@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        (hostile.fails_with(401), Failure.NOT_AUTHORISED),
        (hostile.fails_with(403), Failure.FORBIDDEN),
        (hostile.fails_with(404), Failure.NOT_SUPPORTED),
        (hostile.fails_with(405), Failure.NOT_SUPPORTED),
        (hostile.fails_with(410), Failure.NOT_SUPPORTED),
        (hostile.fails_with(501), Failure.NOT_SUPPORTED),
        (hostile.fails_with(400), Failure.REFUSED),
        (hostile.fails_with(418), Failure.REFUSED),
        (hostile.fails_with(429), Failure.TOO_MANY_REQUESTS),
        (hostile.fails_with(500), Failure.SERVER_ERROR),
        (hostile.fails_with(503), Failure.SERVER_ERROR),
        (answers(b"", 204), Failure.MALFORMED),
        (answers(b"<html><body>Log in</body></html>"), Failure.MALFORMED),
        (answers(b'{"resourceType": "Bundle", "entry": [{"resou'), Failure.MALFORMED),
        (answers(b""), Failure.MALFORMED),
        (answers(b"\xff\xfe"), Failure.MALFORMED),
        (answers([]), Failure.MALFORMED),
        (answers(given("a1")), Failure.MALFORMED),
        (answers(b'{"resourceType": "Bundle", "entry": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"), Failure.MALFORMED),
        (answers(b'{"resourceType": "Bundle", "entry": ' + b"[" * 200 + b"]" * 200 + b"}"), Failure.MALFORMED),
        (answers(b"junk", 200, "Content-Encoding: gzip"), Failure.MALFORMED),
        (hostile.resets, Failure.CONNECTION_FAILED),
        (hostile.closes, Failure.CONNECTION_FAILED),
        (hostile.breaks_off, Failure.CONNECTION_FAILED),
        (lambda visit: visit.send(b"\x00\x01\x02 what?\r\n\r\n"), Failure.CONNECTION_FAILED),
        (answers(b" " * 200_001), Failure.TOO_LARGE),
        (hostile.never_ends, Failure.TOO_LARGE),
        (answers(packed_blanks(50), 200, "Content-Encoding: gzip"), Failure.TOO_LARGE),
        (hostile.hangs, Failure.TIMEOUT),
        (hostile.is_slow(10), Failure.TIMEOUT),
        (hostile.drips_its_headers, Failure.TIMEOUT),
        (hostile.drips_its_body, Failure.TIMEOUT),
        (hostile.says_continue_for_ever, Failure.TIMEOUT),
    ],
)
def test_one_search_that_fails_has_its_reason_and_the_others_are_read(
    client: FhirClient, patient_client: FhirClient, behaviour: Behaviour, failure: Failure
) -> None:
    chosen = client if failure is Failure.TIMEOUT else patient_client
    with hostile_server(MedicationAdministration=behaviour) as server:
        chart = timed(chosen.reader(server.url, TOKEN))
    assert reading(chart, KEY) == (UNAVAILABLE, failure.value)
    assert readings(chart, COMPLETE) == [key for key in KEYS if key != KEY]
    assert ids(chart) == ["Patient/p1"]


def test_each_failure_has_its_own_sentence() -> None:
    assert len({failure.value for failure in Failure}) == len(list(Failure))


def test_a_patient_whom_the_server_does_not_have_is_not_found(patient_client: FhirClient) -> None:
    with hostile_server(Patient=hostile.fails_with(404)) as server:
        chart = timed(patient_client.reader(server.url, TOKEN))
    assert reading(chart, "patient") == (UNAVAILABLE, "the FHIR server does not have it (404)")


@pytest.mark.conforms("C45", "C54")
def test_a_server_that_redirects_is_not_followed_and_nobody_else_sees_the_token(patient_client: FhirClient) -> None:
    with hostile_server() as elsewhere:
        moved = answers(b"x" * 1000, 302, f"Location: {elsewhere.url}/MedicationAdministration")
        with hostile_server(MedicationAdministration=moved) as server:
            chart = timed(patient_client.reader(server.url, TOKEN))
        assert elsewhere.asked == []
    assert reading(chart, KEY) == (UNAVAILABLE, Failure.REDIRECTED.value)


@pytest.mark.conforms("C44")
@pytest.mark.parametrize("behaviour", [hostile.hangs, hostile.drips_its_headers, hostile.drips_its_body])
def test_a_server_that_never_answers_anything_ends_the_call_at_its_budget(
    client: FhirClient, behaviour: Behaviour
) -> None:
    everything = dict.fromkeys(("Patient", *hostile_kinds()), behaviour)
    with hostile_server(None, **everything) as server:
        started = time.monotonic()
        with pytest.raises(NothingReadable) as refused:
            read(reader=client.reader(server.url, TOKEN), patient_id="secret-id")
        assert time.monotonic() - started < AT_MOST_SECONDS
    assert refused.value.reasons == dict.fromkeys(
        ["conditions", "medicationRequests", "medicationAdministrations"], "the FHIR server did not answer in time"
    )
    assert "secret-id" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def hostile_kinds() -> list[str]:
    return [
        "Condition",
        "MedicationRequest",
        "MedicationAdministration",
        "Observation",
        "Procedure",
        "AdverseEvent",
        "AllergyIntolerance",
    ]


def test_after_a_hang_the_next_call_is_fine_and_no_thread_is_left_waiting(client: FhirClient) -> None:
    everything: dict[str, Behaviour] = {kind: in_turn(hostile.hangs, hostile.empty) for kind in hostile_kinds()}
    with hostile_server(None, **everything) as server:
        with pytest.raises(NothingReadable):
            read(reader=client.reader(server.url, TOKEN))
        time.sleep(0.1)
        # one key after the other: the two later questions about Observation get the second behaviour already
        chart = timed(client.reader(server.url, TOKEN))
    assert readings(chart, COMPLETE) == list(KEYS)


def test_a_server_that_is_not_there_is_a_failed_connection(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        gone = server.url
    with pytest.raises(NothingReadable) as refused:
        read(reader=patient_client.reader(gone, TOKEN))
    assert set(refused.value.reasons.values()) == {"the connection to the FHIR server failed"}


def test_a_tls_handshake_that_is_never_answered_ends_at_the_budget(client: FhirClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(NothingReadable) as refused:
            read(reader=client.reader(f"https://127.0.0.1:{port}/fhir", TOKEN))
        assert time.monotonic() - started < AT_MOST_SECONDS
    assert set(refused.value.reasons.values()) == {"the FHIR server did not answer in time"}


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The certificate of these tests is one of an authority that this process knows."""
    monkeypatch.setattr(fhir_connection, "DEFAULT_CA_BUNDLE_PATH", str(CERTIFICATE))
    fhir_connection.tls_context.cache_clear()
    yield
    fhir_connection.tls_context.cache_clear()


@pytest.mark.usefixtures("trusted")
def test_a_server_by_tls_is_read(patient_client: FhirClient) -> None:
    with hostile_server(CERTIFICATE) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert readings(chart, COMPLETE) == list(KEYS)


def test_a_server_whose_certificate_nobody_vouches_for_never_sees_the_token(patient_client: FhirClient) -> None:
    with hostile_server(CERTIFICATE) as server:
        with pytest.raises(NothingReadable) as refused:
            read(reader=patient_client.reader(server.url, TOKEN))
        assert server.asked == []
    assert set(refused.value.reasons.values()) == {"the connection to the FHIR server failed"}


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_host_is_refused(patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_server(CERTIFICATE) as server:
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
        chart = read({"conditions": None}, reader=patient_client.reader(f"https://ehr.example:{server.port}", TOKEN))
        assert server.asked == []
    assert reading(chart, KEY) == (UNAVAILABLE, "the connection to the FHIR server failed")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("behaviour", [hostile.hangs, hostile.drips_its_headers, hostile.drips_its_body])
def test_a_dripping_server_by_tls_ends_at_the_budget(behaviour: Behaviour) -> None:
    with (
        FhirClient(budget_ms=1000, bounds=BOUNDS) as client,
        hostile_server(CERTIFICATE, MedicationAdministration=behaviour) as server,
    ):
        started = time.monotonic()
        chart = read({"conditions": None}, reader=client.reader(server.url, TOKEN))
        assert time.monotonic() - started < 6
    assert reading(chart, KEY) == (UNAVAILABLE, "the FHIR server did not answer in time")


def test_a_kept_open_connection_that_the_server_closed_is_tried_once_more(patient_client: FhirClient) -> None:
    with hostile_server(MedicationAdministration=in_turn(hostile.closes, hostile.empty)) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
        assert len(server.paths("MedicationAdministration")) == 2
    assert reading(chart, KEY) == (COMPLETE, "")


def test_connections_are_kept_open_between_calls(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        for _ in range(5):
            read(reader=patient_client.reader(server.url, TOKEN))
        assert len(server.asked) == 55
        assert server.connections <= 11


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C37")
def test_all_pages_are_followed(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        link = f"{server.url}/MedicationAdministration?page=2"
        pages = in_turn(
            answers(searchset(given("a1"), next_link=link, total=3)),
            answers(searchset(given("a2"), next_link="MedicationAdministration?page=3", total=3)),
            answers(searchset(given("a3"), total=3)),
        )
        server.behaviours["MedicationAdministration"] = pages
        chart = read(reader=patient_client.reader(server.url, TOKEN))
        assert server.paths("MedicationAdministration")[1:] == [
            "/fhir/MedicationAdministration?page=2",
            "/fhir/MedicationAdministration?page=3",
        ]
    assert reading(chart, KEY) == (COMPLETE, "")
    assert ids(chart)[1:] == [f"MedicationAdministration/a{number}" for number in (1, 2, 3)]


def test_pages_that_hold_less_than_the_total_are_partial(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        link = f"{server.url}/MedicationAdministration?page=2"
        server.behaviours["MedicationAdministration"] = in_turn(
            answers(searchset(given("a1"), next_link=link, total=3)), answers(searchset(given("a2"), total=3))
        )
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert reading(chart, KEY)[0] is PARTIAL


def test_pages_for_ever_stop_at_the_bound_and_keep_what_was_read(patient_client: FhirClient) -> None:
    with hostile_server(MedicationAdministration=hostile.pages_for_ever) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
        assert len(server.paths("MedicationAdministration")) == 5
    assert reading(chart, KEY) == (PARTIAL, Failure.TOO_MANY_PAGES.value)
    assert len(ids(chart)) == 6


def test_pages_that_go_round_in_a_circle_are_partial(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        link = f"{server.url}/MedicationAdministration?page=2"
        server.behaviours["MedicationAdministration"] = answers(searchset(given("a1"), next_link=link))
        chart = read(reader=patient_client.reader(server.url, TOKEN))
        assert len(server.paths("MedicationAdministration")) == 2
    assert reading(chart, KEY) == (PARTIAL, Failure.LINK_REPEATS.value)


def test_a_page_that_fails_makes_the_key_partial_and_the_pages_before_count(client: FhirClient) -> None:
    for behaviour, failure in ((hostile.fails_with(500), Failure.SERVER_ERROR), (hostile.hangs, Failure.TIMEOUT)):
        with hostile_server() as server:
            link = f"{server.url}/MedicationAdministration?page=2"
            first = answers(searchset(given("a1"), next_link=link))
            server.behaviours["MedicationAdministration"] = in_turn(first, behaviour)
            chart = timed(client.reader(server.url, TOKEN))
        assert reading(chart, KEY) == (PARTIAL, failure.value)
        assert "MedicationAdministration/a1" in ids(chart)


def test_a_page_that_is_an_outcome_of_severity_error_makes_the_key_unavailable(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        link = f"{server.url}/MedicationAdministration?page=2"
        first = answers(searchset(given("a1"), next_link=link))
        server.behaviours["MedicationAdministration"] = in_turn(first, answers(outcome("error")))
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert reading(chart, KEY)[0] is UNAVAILABLE
    assert "MedicationAdministration/a1" in ids(chart)


@pytest.mark.parametrize("bad", ["OTHER", "/other/MedicationAdministration", "mailto:a@b.example", "", None, 7])
def test_a_next_link_that_leads_elsewhere_is_not_followed(patient_client: FhirClient, bad: Any) -> None:
    with hostile_server() as elsewhere, hostile_server() as server:
        page = searchset(given("a1"))
        url = f"{elsewhere.url}/MedicationAdministration?page=2" if bad == "OTHER" else bad
        page["link"].append({"relation": "next", "url": url})
        server.behaviours["MedicationAdministration"] = answers(page)
        chart = read(reader=patient_client.reader(server.url, TOKEN))
        assert elsewhere.asked == []
        assert len(server.asked) == 11
    assert reading(chart, KEY) == (PARTIAL, "a next link that leads elsewhere is not followed")
    assert "MedicationAdministration/a1" in ids(chart)


def test_the_pages_of_one_answer_together_are_bounded(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        padded = [
            searchset(given(f"a{n}", note="x" * 150_000), next_link=f"{server.url}/MedicationAdministration?page={n}")
            for n in range(4)
        ]
        server.behaviours["MedicationAdministration"] = in_turn(*(answers(page) for page in padded))
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert reading(chart, KEY) == (PARTIAL, Failure.TOO_LARGE.value)
    assert len(ids(chart)) == 3


@pytest.mark.conforms("C37", "C42")
def test_the_rest_of_a_prefetched_bundle_is_read_with_the_token(patient_client: FhirClient) -> None:
    with hostile_server(MedicationAdministration=answers(searchset(given("a2"), total=2))) as server:
        link = [{"relation": "next", "url": f"{server.url}/MedicationAdministration?page=2"}]
        prefetch = whole(medicationAdministrations=bundle(given("a1"), link=link, total=2))
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN))
        assert [asked.path for asked in server.asked] == ["/fhir/MedicationAdministration?page=2"]
        assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert reading(chart, KEY) == (COMPLETE, "")
    assert ids(chart)[1:] == ["MedicationAdministration/a1", "MedicationAdministration/a2"]


def test_the_rest_of_a_prefetched_bundle_on_another_server_is_not_read(patient_client: FhirClient) -> None:
    with hostile_server() as elsewhere, hostile_server() as server:
        link = [{"relation": "next", "url": f"{elsewhere.url}/MedicationAdministration?page=2"}]
        prefetch = whole(medicationAdministrations=bundle(given("a1"), link=link))
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN))
        assert elsewhere.asked == []
    assert reading(chart, KEY) == (PARTIAL, Failure.LINK_ELSEWHERE.value)


def test_the_next_page_of_a_prefetched_query_that_failed_is_not_asked(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        link = [{"relation": "next", "url": f"{server.url}/MedicationAdministration?page=2"}]
        prefetch = whole(medicationAdministrations=bundle(outcome("error"), link=link))
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN))
        assert server.asked == []
    assert reading(chart, KEY)[0] is UNAVAILABLE


# --- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C32", "C34")
def test_only_absent_keys_are_asked_and_null_is_not_absent(patient_client: FhirClient) -> None:
    prefetch = whole(conditions=None, laboratory=outcome("error"))
    del prefetch["procedures"]
    with hostile_server() as server:
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN))
        assert [asked.path for asked in server.asked] == ["/fhir/Procedure?patient=p1"]
    assert readings(chart, UNAVAILABLE) == ["laboratory"]


@pytest.mark.conforms("C32", "C41")
def test_a_complete_prefetch_asks_nothing(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        read(whole(), reader=patient_client.reader(server.url, TOKEN))
        assert server.asked == []


def test_a_value_that_is_no_answer_is_asked_from_the_server_and_what_it_held_still_counts(
    patient_client: FhirClient,
) -> None:
    with hostile_server(MedicationAdministration=answers(searchset(given("a2"), total=1))) as server:
        prefetch = whole(medicationAdministrations=[given("a1")], conditions="Condition/c1")
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN))
        assert sorted(asked.path for asked in server.asked) == [
            "/fhir/Condition?patient=p1",
            "/fhir/MedicationAdministration?patient=p1",
        ]
    assert readings(chart, COMPLETE) == list(KEYS)
    assert ids(chart)[1:] == ["MedicationAdministration/a1", "MedicationAdministration/a2"]


def test_a_list_stays_partial_where_the_server_fails(patient_client: FhirClient) -> None:
    with hostile_server(MedicationAdministration=hostile.fails_with(500)) as server:
        chart = timed(patient_client.reader(server.url, TOKEN), whole(medicationAdministrations=[given("a1")]))
    assert reading(chart, KEY) == (PARTIAL, Failure.SERVER_ERROR.value)


@pytest.mark.conforms("C32", "C46")
def test_the_requests_are_those_of_the_contract_and_one_for_observations_without_our_codes(
    patient_client: FhirClient,
) -> None:
    with hostile_server() as server:
        read(reader=patient_client.reader(server.url, TOKEN))
        paths = sorted(asked.path for asked in server.asked if "code=" not in asked.path)
        coded = [asked.path for asked in server.asked if "code=" in asked.path]
        headers = server.asked[0].headers
    assert paths == [
        "/fhir/AdverseEvent?subject=Patient/p1",
        "/fhir/AllergyIntolerance?patient=p1",
        "/fhir/Condition?patient=p1",
        "/fhir/MedicationAdministration?patient=p1",
        "/fhir/MedicationRequest?patient=p1",
        f"/fhir/Observation?patient=p1&category={CLINICAL}&_sort=-date&_count=200",
        "/fhir/Observation?patient=p1&category=laboratory&_sort=-date&_count=200",
        "/fhir/Observation?patient=p1&category=vital-signs&_sort=-date&_count=200",
        "/fhir/Patient/p1",
        "/fhir/Procedure?patient=p1",
    ]
    assert len(coded) == 1
    assert headers["accept"] == "application/fhir+json"
    assert headers["prefer"] == "handling=strict"
    assert "cookie" not in headers


def by_search(*, code: Behaviour = hostile.empty, category: Behaviour = hostile.empty) -> Behaviour:
    """Answers to the two searches that belong to the need `observations`; laboratory and vital signs are empty."""

    def answer(visit: hostile.Visit) -> None:
        searches = {"code=": code, "category=exam": category}
        chosen = [behaviour for parameter, behaviour in searches.items() if f"&{parameter}" in visit.asked.path]
        (chosen or [hostile.empty])[0](visit)

    return answer


CODED, TEXT_ONLY = (answers(searchset(resource("Observation", name), total=1)) for name in ("coded", "text-only"))
REFUSED = hostile.fails_with(403)


@pytest.mark.parametrize(
    ("observations", "need", "found"),
    [
        (by_search(code=CODED, category=TEXT_ONLY), (COMPLETE, ""), ["coded", "text-only"]),
        (by_search(code=CODED, category=CODED), (COMPLETE, ""), ["coded"]),
        (by_search(code=CODED, category=REFUSED), (PARTIAL, Failure.FORBIDDEN.value), ["coded"]),
        (by_search(code=REFUSED, category=TEXT_ONLY), (PARTIAL, Failure.FORBIDDEN.value), ["text-only"]),
        (by_search(code=REFUSED, category=hostile.fails_with(500)), (UNAVAILABLE, Failure.FORBIDDEN.value), []),
    ],
)
def test_observations_are_searched_by_code_and_by_category_and_both_must_be_read(
    patient_client: FhirClient, observations: Behaviour, need: tuple[Reading, str], found: list[str]
) -> None:
    prefetch = {key: value for key, value in whole().items() if key != "observations"}
    with hostile_server(Observation=observations) as server:
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN))
        assert len(server.asked) == 2
    assert reading(chart, "observations") == need
    assert not chart.needs["observations"].by_code_only
    assert ids(chart) == ["Patient/p1", *(f"Observation/{name}" for name in found)]


@pytest.mark.parametrize(
    "treated",
    [
        {"medicationAdministrations": bundle(given("a1"))},
        {"medicationAdministrations": outcome("error")},
        {"medicationRequests": bundle(resource("MedicationRequest", "m1"))},
        {"procedures": bundle(resource("Procedure", "p1"))},
    ],
    ids=["given", "given, but not to be read", "ordered", "done"],
)
def test_of_who_may_be_treated_a_grade_in_a_text_is_searched_even_where_all_keys_of_the_discovery_came(
    patient_client: FhirClient, treated: dict[str, Any]
) -> None:
    with hostile_server(Observation=by_search(code=CODED, category=TEXT_ONLY)) as server:
        reader = patient_client.reader(server.url, TOKEN)
        chart = read(whole(**treated), reader=reader, search_texts=True)
        assert [asked.path for asked in server.asked] == [
            f"/fhir/Observation?patient=p1&category={CLINICAL}&_sort=-date&_count=200"
        ]
    assert reading(chart, "observations") == (COMPLETE, "")
    assert not chart.needs["observations"].by_code_only
    assert "Observation/text-only" in ids(chart)


@pytest.mark.parametrize("search_texts", [False, True])
def test_of_who_was_given_nothing_or_where_it_is_not_wanted_nothing_is_searched_beside_what_came(
    patient_client: FhirClient, search_texts: bool
) -> None:
    treated = {} if search_texts else {"medicationAdministrations": bundle(given("a1"))}
    with hostile_server(Observation=by_search(category=TEXT_ONLY)) as server:
        reader = patient_client.reader(server.url, TOKEN)
        chart = read(whole(**treated), reader=reader, search_texts=search_texts)
        assert server.asked == []
    assert chart.needs["observations"].by_code_only


def test_where_that_search_fails_what_came_counts_and_is_said_to_be_found_by_code_only(
    patient_client: FhirClient,
) -> None:
    with hostile_server(Observation=by_search(category=REFUSED)) as server:
        prefetch = whole(medicationAdministrations=bundle(given("a1")), observations=bundle())
        chart = read(prefetch, reader=patient_client.reader(server.url, TOKEN), search_texts=True)
        assert len(server.asked) == 1
    assert reading(chart, "observations") == (COMPLETE, "")
    assert chart.needs["observations"].by_code_only


@pytest.mark.parametrize("patient_id", ["..", ".", "p1/../p2", "p1?x=1", "p1&category=x", "p 1", "p1,p2", "p1|2", ""])
def test_an_id_that_could_change_the_query_is_put_in_none(patient_client: FhirClient, patient_id: str) -> None:
    with hostile_server() as server:
        chart = read({"conditions": None}, reader=patient_client.reader(server.url, TOKEN), patient_id=patient_id)
        assert server.asked == []
    assert reading(chart, "patient")[0] is UNAVAILABLE


def test_cookies_are_not_kept(patient_client: FhirClient) -> None:
    with hostile_server(Patient=answers({"resourceType": "Patient", "id": "p1"}, 200, "Set-Cookie: a=b")) as server:
        for _ in range(2):
            read(reader=patient_client.reader(server.url, TOKEN))
        assert not any("cookie" in asked.headers for asked in server.asked)


def test_proxies_and_passwords_of_the_environment_are_not_used(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with hostile_server() as server:
        assert readings(read(reader=patient_client.reader(server.url, TOKEN)), COMPLETE) == list(KEYS)


# --- servers that do not know a parameter ---------------------------------------------------------------------------


def test_a_search_refused_for_its_parameters_is_asked_leniently_and_filtered_here(patient_client: FhirClient) -> None:
    all_patients = searchset(resource("AdverseEvent", "e1"), resource("AdverseEvent", "e2", "Patient/p2"))
    with hostile_server(AdverseEvent=in_turn(hostile.fails_with(400), answers(all_patients))) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
        prefers = [asked.headers["prefer"] for asked in server.asked if asked.resource_type == "AdverseEvent"]
    assert prefers == ["handling=strict", "handling=lenient"]
    assert reading(chart, "adverseEvents") == (COMPLETE, "")
    assert ids(chart)[1:] == ["AdverseEvent/e1"]
    assert chart.unknowns == ()


def test_a_lenient_search_that_finds_only_others_means_that_there_is_none(patient_client: FhirClient) -> None:
    others = searchset(resource("AdverseEvent", "e2", "Patient/p2"))
    with hostile_server(AdverseEvent=in_turn(hostile.fails_with(400), answers(others))) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert reading(chart, "adverseEvents") == (COMPLETE, "")


@pytest.mark.conforms("C40")
def test_another_patients_data_in_a_strict_answer_is_never_used_and_said(patient_client: FhirClient) -> None:
    swapped = searchset(given("a1", subject="Patient/p2"))
    with hostile_server(MedicationAdministration=answers(swapped)) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert ids(chart) == ["Patient/p1"]
    assert [found.foreign for found in chart.unknowns] == [True]
    assert reading(chart, KEY)[0] is PARTIAL


def test_another_patient_than_asked_is_not_used(patient_client: FhirClient) -> None:
    with hostile_server(Patient=answers({"resourceType": "Patient", "id": "p2"})) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert ids(chart) == []
    assert reading(chart, "patient")[0] is UNAVAILABLE


def test_an_outcome_entry_that_reports_an_error_makes_the_key_unavailable_and_a_warning_does_not(
    patient_client: FhirClient,
) -> None:
    for severity, expected in (("error", UNAVAILABLE), ("fatal", UNAVAILABLE), ("warning", COMPLETE)):
        body = searchset(given("a1"), total=1)
        body["entry"].append({"resource": outcome(severity), "search": {"mode": "outcome"}})
        with hostile_server(MedicationAdministration=answers(body)) as server:
            chart = read(reader=patient_client.reader(server.url, TOKEN))
        assert reading(chart, KEY)[0] is expected
        assert "MedicationAdministration/a1" in ids(chart)


def test_decimals_keep_their_digits_and_absurd_ones_become_texts(patient_client: FhirClient) -> None:
    body = json.dumps(searchset(given("a1", dosage={"dose": "DOSE"}))).replace('"DOSE"', '{"value": 10.00, "x": 1e999}')
    with hostile_server(MedicationAdministration=answers(body.encode())) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    dose = chart.resources[1]["dosage"]["dose"]
    assert (str(dose["value"]), dose["x"]) == ("10.00", "1e999")


# --- whom we call ---------------------------------------------------------------------------------------------------


@pytest.mark.conforms("C45")
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://169.254.169.254/fhir",
        "https://10.0.0.1/fhir",
        "http://ehr.example/fhir",
        "https://user:word@127.0.0.1/fhir",
        "ftp://127.0.0.1/fhir",
        "not a url",
    ],
)
def test_an_address_that_is_not_allowed_is_never_called(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: resolved(host, "93.184.215.14"))
    monkeypatch.setattr(fhir_connection, "create_connection", called_by_mistake)
    chart = timed(patient_client.reader(url, TOKEN), {"conditions": None})
    assert reading(chart, KEY) == (UNAVAILABLE, "FHIR server address not allowed")


@pytest.mark.conforms("C45")
@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["169.254.169.254"], ["93.184.215.14", "10.0.0.1"], ["fe80::1%eth0"], ["::ffff:10.0.0.1"]],
)
def test_a_name_that_resolves_to_a_private_address_is_never_called(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: resolved(None, *addresses))
    monkeypatch.setattr(fhir_connection, "create_connection", called_by_mistake)
    chart = timed(patient_client.reader("https://ehr.example/fhir", TOKEN), {"conditions": None})
    assert reading(chart, KEY) == (UNAVAILABLE, "FHIR server address not allowed")


def test_the_address_that_was_checked_is_the_one_that_is_called(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []

    def connect(address: Any, **_: Any) -> socket.socket:
        called.append(address)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: resolved(None, "93.184.215.14", "93.184.215.15"))
    monkeypatch.setattr(fhir_connection, "create_connection", connect)
    chart = timed(patient_client.reader("https://ehr.example/fhir", TOKEN), {"conditions": None})
    assert set(called) == {("93.184.215.14", 443), ("93.184.215.15", 443)}
    assert reading(chart, KEY) == (UNAVAILABLE, "the connection to the FHIR server failed")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example"])
def test_a_name_that_does_not_resolve_is_a_failed_connection(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    def unresolved(*_: Any, **__: Any) -> Any:
        raise UnicodeError if host.startswith("a") else socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    chart = timed(patient_client.reader(f"https://{host}/fhir", TOKEN), {"conditions": None})
    assert reading(chart, KEY) == (UNAVAILABLE, "the connection to the FHIR server failed")


def resolved(host: str | None, *addresses: str) -> list[Any]:
    found = (host,) if host is not None and host[0].isdigit() else addresses
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in found]


def called_by_mistake(*_: Any, **__: Any) -> socket.socket:
    raise AssertionError("a call was made")


def test_no_named_server_means_no_reader(patient_client: FhirClient) -> None:
    assert patient_client.reader(None, TOKEN) is None
    assert patient_client.reader("", TOKEN) is None


@pytest.mark.conforms("C42")
def test_an_open_server_on_this_machine_is_read_without_a_token(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        chart = read(reader=patient_client.reader(server.url))
        assert not any("authorization" in asked.headers for asked in server.asked)
    assert readings(chart, COMPLETE) == list(KEYS)


@pytest.mark.conforms("C42")
def test_a_server_elsewhere_is_not_read_without_a_token(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fhir_connection, "create_connection", called_by_mistake)
    chart = timed(patient_client.reader("https://ehr.example/fhir"), {"conditions": None})
    assert reading(chart, KEY) == (UNAVAILABLE, "the call brought no access token for the FHIR server")


@pytest.mark.conforms("C42", "C54")
def test_the_token_goes_with_every_request_and_each_call_has_its_own(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        read(reader=patient_client.reader(server.url, "one"))
        read(reader=patient_client.reader(server.url, "two"))
        seen = [asked.headers["authorization"] for asked in server.asked]
    assert seen == ["Bearer one"] * 11 + ["Bearer two"] * 11


@pytest.mark.conforms("C54", "C108", "C109")
def test_neither_token_nor_patient_stands_in_a_log_line_or_a_repr(
    patient_client: FhirClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), hostile_server(MedicationAdministration=hostile.resets) as server:
        reader = patient_client.reader(server.url, TOKEN)
        read(reader=reader, patient_id="secret-id")
    assert TOKEN not in repr(reader)
    assert TOKEN not in caplog.text
    assert "secret-id" not in caplog.text


def test_only_so_many_servers_are_remembered() -> None:
    with (
        FhirClient(budget_ms=10_000, bases=1) as client,
        hostile_server() as first,
        hostile_server() as second,
    ):
        opened = []
        for server in (first, second, first):
            assert readings(read(reader=client.reader(server.url, TOKEN)), COMPLETE) == list(KEYS)
            opened.append(first.connections)
        assert opened[0] == opened[1] < opened[2]


def test_a_mistake_of_ours_while_reading_is_raised_and_not_taken_for_an_empty_record(
    patient_client: FhirClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(fhir_client, "next_link", broken)
    with hostile_server() as server, pytest.raises(ZeroDivisionError):
        read(reader=patient_client.reader(server.url, TOKEN))


# --- referenced medications -----------------------------------------------------------------------------------------


def ordered(identity: str, medication: str, kind: str = "MedicationRequest") -> dict[str, Any]:
    return resource(kind, identity, medicationReference={"reference": medication})


def drafts(*resources: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"resource": draft} for draft in resources]}


def medications(*identities: str) -> Behaviour:
    return answers(searchset(*({"resourceType": "Medication", "id": identity} for identity in identities)))


def test_medications_referred_to_are_read_in_one_search_the_drafts_first(patient_client: FhirClient) -> None:
    prefetch = whole(
        medicationRequests=bundle(ordered("r1", "Medication/m1"), ordered("r2", "Medication/m2")),
        medicationAdministrations=bundle(ordered("a1", "Medication/m3", "MedicationAdministration")),
    )
    with hostile_server(Medication=medications("m2", "m1", "m3", "m4")) as server:
        reader = patient_client.reader(server.url, TOKEN)
        call = drafts(ordered("d1", "Medication/m2"), ordered("d2", f"{server.url}/Medication/m4"))
        chart = read(prefetch, drafts=call, reader=reader)
        assert server.paths("Medication") == ["/fhir/Medication?_id=m2,m4,m1,m3"]
    assert set(chart.medications) == {"Medication/m1", "Medication/m2", "Medication/m3", "Medication/m4"}


def test_medications_that_came_with_the_call_are_not_read(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        call = drafts(ordered("d1", "Medication/m1"), {"resourceType": "Medication", "id": "m1"})
        chart = read(whole(), drafts=call, reader=patient_client.reader(server.url, TOKEN))
        assert server.asked == []
    assert list(chart.medications) == ["Medication/m1"]


@pytest.mark.parametrize(
    "reference", ["https://other.example/fhir/Medication/m1", "#m1", "urn:uuid:1", "Medication/.."]
)
def test_a_medication_that_is_not_on_this_server_is_not_read(patient_client: FhirClient, reference: str) -> None:
    with hostile_server() as server:
        read(whole(), drafts=drafts(ordered("d1", reference)), reader=patient_client.reader(server.url, TOKEN))
        assert server.asked == []


def test_a_server_without_medication_search_is_asked_for_each(patient_client: FhirClient) -> None:
    def one_by_one(visit: hostile.Visit) -> None:
        identity = visit.asked.path.removeprefix("/fhir/Medication/")
        if identity == "m2":
            hostile.fails_with(404)(visit)
        elif "?" in identity:
            hostile.fails_with(400)(visit)
        else:
            answers({"resourceType": "Medication", "id": identity})(visit)

    with hostile_server(Medication=one_by_one) as server:
        call = drafts(ordered("d1", "Medication/m1"), ordered("d2", "Medication/m2"))
        chart = read(whole(), drafts=call, reader=patient_client.reader(server.url, TOKEN))
    assert list(chart.medications) == ["Medication/m1"]


def test_medications_that_cannot_be_read_in_time_stay_unresolved_within_the_budget(client: FhirClient) -> None:
    with hostile_server(Medication=hostile.hangs) as server:
        started = time.monotonic()
        reader = client.reader(server.url, TOKEN)
        chart = read(drafts=drafts(ordered("d1", "Medication/m1")), reader=reader)
        assert time.monotonic() - started < AT_MOST_SECONDS
    assert chart.medications == {}
    assert readings(chart, COMPLETE) == list(KEYS)


def test_many_medications_are_read_in_several_searches_and_not_without_bound(patient_client: FhirClient) -> None:
    many = bundle(*(ordered(f"r{number}", f"Medication/m{number}") for number in range(200)))
    with hostile_server() as server:
        read(whole(medicationRequests=many), reader=patient_client.reader(server.url, TOKEN))
        assert len(server.paths("Medication")) == 4


def test_a_question_outside_the_server_is_refused(patient_client: FhirClient) -> None:
    with hostile_server() as server:
        reader = patient_client.reader(server.url, TOKEN)
        assert reader is not None
        answer = reader.answers({"x": Question(query="https://other.example/fhir/Patient/p1")})["x"]
        assert server.asked == []
    assert (answer.failure, answer.pages) == (Failure.LINK_ELSEWHERE, [])


def test_unknowns_of_the_server_are_said_like_those_of_the_prefetch(patient_client: FhirClient) -> None:
    body = searchset(given("a1"))
    body["entry"].append({"fullUrl": "https://ehr.example/fhir/MedicationAdministration/a2"})
    with hostile_server(MedicationAdministration=answers(body)) as server:
        chart = read(reader=patient_client.reader(server.url, TOKEN))
    assert unknowns(chart) == [
        ("MedicationAdministration", "MedicationAdministration/a2", "an entry is no FHIR resource", False)
    ]
    assert reading(chart, KEY)[0] is PARTIAL


@pytest.mark.parametrize("status", [400, 404, 501])
def test_a_server_of_dstu2_has_no_adverse_events_and_their_absence_is_no_gap(
    status: int, patient_client: FhirClient
) -> None:
    """hl7.org/fhir/DSTU2: there is no such resource."""
    older = bundle(resource("MedicationOrder", "d1", medicationCodeableConcept={"text": "tarlatamab"}))
    with hostile_server(AdverseEvent=hostile.fails_with(status)) as server:
        chart = read(drafts=older, reader=patient_client.reader(server.url, TOKEN))
        in_r4 = read(reader=patient_client.reader(server.url, TOKEN))
    assert reading(chart, "adverseEvents") == (COMPLETE, "its version of FHIR has no such resource")
    assert reading(in_r4, "adverseEvents")[0] is UNAVAILABLE


@pytest.mark.parametrize("key", ["AdverseEvent", "AllergyIntolerance"])
def test_a_server_of_dstu2_that_fails_leaves_open_what_it_has(key: str, patient_client: FhirClient) -> None:
    older = bundle(resource("MedicationOrder", "d1", medicationCodeableConcept={"text": "tarlatamab"}))
    status = 500 if key == "AdverseEvent" else 404
    with hostile_server(**{key: hostile.fails_with(status)}) as server:
        chart = read(drafts=older, reader=patient_client.reader(server.url, TOKEN))
    assert readings(chart, UNAVAILABLE) == ["adverseEvents" if key == "AdverseEvent" else "allergies"]


def test_an_adverse_event_that_a_server_of_dstu2_sends_all_the_same_counts(patient_client: FhirClient) -> None:
    older = bundle(resource("MedicationOrder", "d1", medicationCodeableConcept={"text": "tarlatamab"}))
    with hostile_server(AdverseEvent=answers(searchset(resource("AdverseEvent", "e1")))) as server:
        chart = read(drafts=older, reader=patient_client.reader(server.url, TOKEN))
    assert reading(chart, "adverseEvents") == (COMPLETE, "")
    assert "AdverseEvent/e1" in ids(chart)
