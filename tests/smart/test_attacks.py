"""Whoever tries to get at a record or a code by the app: at the launch, and on the way back from the EHR."""

from __future__ import annotations

import socket
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import time_machine

from cds_service.errors import Trouble
from cds_service.smart import id_of
from tests.smart.browser import browser, known, refusal, registration, shows_nothing
from tests.smart.conftest import COURSE, NOBODY, case
from tests.smart.stand_in import StandIn, parameters

pytestmark = pytest.mark.fhir_server


# --- the launch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "iss",
    [
        "https://evil.example/fhir",
        "http://127.0.0.1:1/fhir",
        "http://169.254.169.254/latest",
        "{iss}/../other",
        "{iss}@evil.example",
        "{iss}?x=y",
        "{iss}#x",
        "{iss}x",
        "file:///etc/passwd",
        "https://ehr.example/fhir\r\nSet-Cookie: a=b",
        "nonsense",
        "x" * 5000,
    ],
)
def test_an_issuer_that_is_not_registered_is_refused_before_anything_is_fetched(
    iss: str, ehr: StandIn, tmp_path: Path
) -> None:
    window = browser(tmp_path, ehr)
    answer = window.app.get("/smart/launch", query_string={"iss": iss.format(iss=ehr.iss), "launch": "x"})
    assert answer.status_code == 403
    assert refusal(Trouble.UNKNOWN_ISSUER) in answer.text
    assert "evil.example" not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert ehr.asked == []


def test_a_launch_without_an_issuer_is_refused(ehr: StandIn, tmp_path: Path) -> None:
    answer = browser(tmp_path, ehr).app.get("/smart/launch?launch=x")
    assert (answer.status_code, ehr.asked) == (400, [])


def test_an_issuer_that_is_registered_for_ehr_launches_alone_is_not_offered_and_takes_no_other(
    ehr: StandIn, tmp_path: Path
) -> None:
    window = browser(tmp_path, ehr, registration(ehr, standalone=False))
    assert "Example EHR" not in window.app.get("/smart").text
    answer = window.app.get("/smart/launch", query_string={"iss": ehr.iss})
    assert answer.status_code == 403
    assert unescape(refusal(Trouble.NOT_STANDALONE)) in unescape(answer.text)
    assert ehr.asked == []


@pytest.mark.parametrize(("name", "length", "status"), [("launch", 4096, 303), ("launch", 4097, 400)])
def test_a_launch_has_at_most_4096_characters(
    name: str, length: int, status: int, ehr: StandIn, tmp_path: Path
) -> None:
    answer = browser(tmp_path, ehr).app.get("/smart/launch", query_string={"iss": ehr.iss, name: "x" * length})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"token_endpoint": None}, Trouble.BAD_CONFIGURATION),
        ({"authorization_endpoint": None}, Trouble.BAD_CONFIGURATION),
        ({"token_endpoint": "file:///etc/passwd"}, Trouble.BAD_CONFIGURATION),
        ({"authorization_endpoint": "javascript:alert(1)"}, Trouble.BAD_CONFIGURATION),
        ({"authorization_endpoint": "https://ehr.example/a\r\nX: y"}, Trouble.BAD_CONFIGURATION),
        ({"authorization_endpoint": "https://ehr.example/a?b=c\r\nX: y"}, Trouble.BAD_CONFIGURATION),
        ({"authorization_endpoint": "https://ehr.example/a#fragment"}, Trouble.BAD_CONFIGURATION),
        ({"authorization_endpoint": ["https://ehr.example/a"]}, Trouble.BAD_CONFIGURATION),
        ({"code_challenge_methods_supported": ["plain"]}, Trouble.NO_PKCE),
        ({"code_challenge_methods_supported": None}, Trouble.NO_PKCE),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_the_launch(
    changes: dict[str, Any], trouble: Trouble, ehr: StandIn, tmp_path: Path
) -> None:
    ehr.configuration.update(changes)
    answer = browser(tmp_path, ehr).app.get("/smart/launch", query_string={"iss": ehr.iss, "launch": "x"})
    assert answer.status_code == 502
    assert refusal(trouble) in unescape(answer.text)
    assert "Set-Cookie" not in answer.headers


def test_an_ehr_that_cannot_be_reached_is_said(ehr: StandIn, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        iss = f"http://127.0.0.1:{probe.getsockname()[1]}/fhir"
        window = browser(tmp_path, ehr, registration(ehr, iss=iss))
        answer = window.app.get("/smart/launch", query_string={"iss": iss, "launch": "x"})
    assert answer.status_code == 502
    assert refusal(Trouble.NO_CONFIGURATION) in unescape(answer.text)


# --- the way back -------------------------------------------------------------------------------------------------


def test_a_code_without_a_launch_of_this_browser_is_refused_and_never_exchanged(ehr: StandIn, tmp_path: Path) -> None:
    """Somebody sends the user a link with a code of another launch: the user would see another patient."""
    known(ehr)
    attacker, user = browser(tmp_path, ehr), browser(tmp_path, ehr)
    link = attacker.log_in(attacker.begin(ehr, launch=ehr.launch(case(COURSE).patient_id)))
    answer = user.open(link)
    assert answer.status_code == 400
    assert refusal(Trouble.STATE) in answer.text
    assert "/token" not in ehr.paths()


def test_the_code_of_one_launch_under_the_state_of_another_gets_nothing(ehr: StandIn, tmp_path: Path) -> None:
    """PKCE: the verifier of the user's own launch does not fit the code of the attacker's."""
    known(ehr)
    attacker, user = browser(tmp_path, ehr), browser(tmp_path, ehr)
    stolen = parameters(attacker.log_in(attacker.begin(ehr, launch=ehr.launch(case(COURSE).patient_id))))
    own = parameters(user.begin(ehr, launch=ehr.launch(NOBODY)))
    page = user.arrive(f"{user.public_url}/smart/redirect?code={stolen['code']}&state={own['state']}")
    answer = user.open(page)
    assert answer.status_code == 502
    assert refusal(Trouble.CODE_REFUSED) in answer.text
    assert shows_nothing(answer.text)


@pytest.mark.parametrize("state", ["", "x", "\udcff", "é" * 43])
def test_a_state_that_is_none_is_refused(state: str, ehr: StandIn, tmp_path: Path) -> None:
    window = browser(tmp_path, ehr)
    window.begin(ehr, launch="x")
    assert window.returned(code="x", state=state.encode("utf-8", "surrogateescape").decode("latin1")).status_code == 400


def test_a_launch_comes_back_once(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    back = window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY)))
    copied = window.cookie(parameters(back)["state"])
    window.arrive(back)
    window.keep(*copied)
    answer = window.open(back)
    assert answer.status_code == 400
    assert refusal(Trouble.USED) in answer.text


@pytest.mark.parametrize(("wait", "page_wait", "status"), [(599, 59, 200), (600, 60, 200), (601, 0, 400), (0, 61, 410)])
def test_a_login_may_take_ten_minutes_and_the_page_comes_within_one(
    wait: int, page_wait: int, status: int, ehr: StandIn, tmp_path: Path
) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    with time_machine.travel("2026-02-10T20:00:00Z", tick=False) as clock:
        back = window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY)))
        state = parameters(back)["state"]
        window.keep(*window.cookie(state))
        clock.shift(wait)
        answer = window.open(back)
        if answer.status_code == 303:
            window.keep(*window.cookie(state))
            clock.shift(page_wait)
            answer = window.open(answer.headers["Location"])
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("iss", "promised", "issuer", "is_taken"),
    [
        ("{url}", True, "{url}", True),
        ("{url}", False, "{url}", True),
        (None, False, "{url}", True),
        (None, False, None, True),
        (None, True, "{url}", False),
        ("https://evil.example", True, "{url}", False),
        ("https://evil.example", False, "{url}", False),
        ("{url}", False, None, False),
        ("{url}/", False, "{url}", False),
    ],
)
def test_an_answer_of_another_issuer_is_refused(
    iss: str | None, promised: bool, issuer: str | None, is_taken: bool, ehr: StandIn, tmp_path: Path
) -> None:
    """RFC 9207: the mix-up of two authorization servers."""
    known(ehr)
    ehr.configuration["authorization_response_iss_parameter_supported"] = promised
    ehr.configuration["issuer"] = issuer.format(url=ehr.url) if issuer else None
    if iss is not None:
        ehr.returns["iss"] = iss.format(url=ehr.url)
    window = browser(tmp_path, ehr)
    answer = window.open(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    assert answer.status_code == (303 if is_taken else 400)
    assert (refusal(Trouble.OTHER_ISSUER) in answer.text) is not is_taken


def test_a_user_who_denies_gets_a_page_that_says_so_without_the_servers_words(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.denies = True
    window = browser(tmp_path, ehr)
    answer = window.open(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    assert answer.status_code == 403
    assert refusal(Trouble.DENIED) in answer.text
    assert "<b>" not in answer.text
    assert "/token" not in ehr.paths()


@pytest.mark.parametrize(("error", "status"), [("access_denied", 403), ("server_error", 502), ("<script>", 502)])
def test_an_error_of_the_authorization_server_is_a_page(error: str, status: int, ehr: StandIn, tmp_path: Path) -> None:
    window = browser(tmp_path, ehr)
    state = parameters(window.begin(ehr, launch="x"))["state"]
    answer = window.returned(error=error, error_description="<script>", code="x", state=state)
    assert answer.status_code == status
    assert "<script>" not in answer.text


@pytest.mark.parametrize(("code", "status"), [("", 400), ("x" * 1900, 303), ("x" * 4096, 400), ("x" * 4097, 400)])
def test_a_code_has_to_be_there_and_to_fit_into_a_cookie(code: str, status: int, ehr: StandIn, tmp_path: Path) -> None:
    window = browser(tmp_path, ehr)
    state = parameters(window.begin(ehr, launch="x"))["state"]
    answer = window.returned(code=code, state=state)
    assert answer.status_code == status
    assert all(len(cookie) < 4096 for cookie in answer.headers.getlist("Set-Cookie"))


def test_the_app_never_sends_a_browser_to_an_address_that_came_with_the_call(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    evil = {"redirect_uri": "https://evil.example", "next": "https://evil.example", "Host": "evil.example"}
    state = parameters(window.begin(ehr, launch=ehr.launch(NOBODY), **evil))["state"]
    answer = window.app.get(
        "/smart/redirect",
        query_string={"code": "x", "state": state, **evil},
        base_url=window.public_url,
        headers={"X-Forwarded-Host": "evil.example"},
    )
    assert answer.headers["Location"] == f"/smart/view/{id_of(state)}"
