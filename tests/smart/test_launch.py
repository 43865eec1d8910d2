"""From a launch to the page: EHR and standalone launch, public and confidential clients."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from werkzeug.test import TestResponse

from tests.smart.browser import Browser, browser, known, registration
from tests.smart.conftest import COURSE, NOBODY, STOPPED, case, person
from tests.smart.stand_in import StandIn, parameters
from tests.support.fhir_server import READS_NO_OBSERVATIONS

pytestmark = pytest.mark.fhir_server


def summaries(text: str) -> list[tuple[str, str]]:
    """Indicator and summary of each card on a page."""
    return re.findall(r'<span class="indicator">(\w+)</span> (.+?)</h3>', unescape(text))


def said_by_the_service(shown: Browser, ehr: StandIn, patient: str) -> list[tuple[str, str]]:
    """The same of the cards that patient-view gives for this patient."""
    call = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": patient},
        "fhirServer": ehr.iss,
        "fhirAuthorization": {
            "access_token": ehr.fhir.token(),
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": "cds",
        },
    }
    answer = shown.app.post("/cds-services/tarlatamab-patient-view", json=call)
    assert answer.json is not None
    return [(card["indicator"], card["summary"]) for card in answer.json["cards"]]


def test_an_ehr_launch_shows_the_patient_in_context_and_what_the_service_says_now(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    patient = case(STOPPED).patient_id
    shown = window.launch(ehr, launch=ehr.launch(patient))
    assert shown.status_code == 200
    assert f"<strong>Erika Example</strong> · born 1957-03-04 · id {patient}" in shown.text
    assert "Record of Example EHR as read on 2026-02-10 at 15:00 (EST)" in shown.text
    assert summaries(shown.text) == said_by_the_service(window, ehr, patient)
    assert summaries(shown.text)[0][0] == "critical"


def test_the_page_shows_the_timeline_of_the_patient_with_each_dose_in_words(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(case(STOPPED).patient_id))
    assert '<figure class="timeline">' in shown.text
    assert "<svg" in shown.text
    words = shown.text[shown.text.index("The timeline in words") :]
    assert "MedicationAdministration/v19-dose-1" in words
    assert "MedicationAdministration/v19-dose-2" in words


def test_a_standalone_launch_shows_the_patient_whom_the_user_chose(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.chosen = case(COURSE).patient_id
    window = browser(tmp_path, ehr)
    link = re.search(r'href="(/smart/launch\?iss=[^"]+)">Example EHR<', window.open("/smart").text)
    assert link is not None
    sent_on = window.open(unescape(link[1]))
    assert sent_on.status_code == 303
    assert parameters(sent_on.headers["Location"])["scope"].split()[0] == "launch/patient"
    shown = window.open(window.arrive(window.log_in(sent_on.headers["Location"])))
    assert f"id {ehr.chosen}" in shown.text
    assert summaries(shown.text) == said_by_the_service(window, ehr, ehr.chosen)
    assert len(summaries(shown.text)) > 0


def test_the_authorization_request_is_the_one_that_smart_asks_for(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    launch = ehr.launch(case(COURSE).patient_id)
    sent = parameters(browser(tmp_path, ehr).begin(ehr, launch=launch))
    assert sent.keys() == {
        "response_type",
        "client_id",
        "redirect_uri",
        "launch",
        "scope",
        "state",
        "aud",
        "code_challenge",
        "code_challenge_method",
    }
    assert sent["response_type"] == "code"
    assert sent["client_id"] == "tarlatamab-cds"
    assert sent["redirect_uri"] == "http://127.0.0.1:8080/smart/redirect"
    assert sent["aud"] == ehr.iss
    assert sent["launch"] == launch
    assert sent["code_challenge_method"] == "S256"
    assert len(sent["state"]) == 43
    assert sent["scope"].split() == [
        "launch",
        "patient/Patient.rs",
        "patient/Condition.rs",
        "patient/MedicationRequest.rs",
        "patient/MedicationAdministration.rs",
        "patient/Observation.rs",
        "patient/Procedure.rs",
        "patient/AdverseEvent.rs",
        "patient/AllergyIntolerance.rs",
        "patient/Medication.rs",
    ]


@pytest.mark.parametrize(
    ("capabilities", "scope"),
    [
        (["permission-v1"], "patient/Condition.read"),
        (["permission-v1", "permission-v2"], "patient/Condition.rs"),
        ([], "patient/Condition.rs"),
    ],
)
def test_scopes_are_asked_for_in_the_version_that_the_issuer_names(
    capabilities: list[str], scope: str, ehr: StandIn, tmp_path: Path
) -> None:
    ehr.configuration["capabilities"] = capabilities
    assert scope in parameters(browser(tmp_path, ehr).begin(ehr, launch="x"))["scope"].split()


def test_a_registration_may_name_its_own_scopes(ehr: StandIn, tmp_path: Path) -> None:
    window = browser(tmp_path, ehr, registration(ehr, scopes=["patient/*.rs"]))
    assert parameters(window.begin(ehr, launch="x"))["scope"] == "launch patient/*.rs"


def test_a_confidential_client_proves_itself_with_its_secret(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr, secret="kept-in-a-file")
    (tmp_path / "secret").write_text("kept-in-a-file\n", encoding="utf-8")
    window = browser(tmp_path, ehr, registration(ehr, client_secret_file="secret"))
    assert window.launch(ehr, launch=ehr.launch(case(COURSE).patient_id)).status_code == 200
    _, _, sent = next(asked for asked in ehr.asked if asked[1] == "/token")
    assert sent.keys() == {"grant_type", "code", "code_verifier", "redirect_uri"}


@pytest.mark.parametrize("private", [rsa.generate_private_key(65_537, 2_048), ec.generate_private_key(ec.SECP384R1())])
def test_a_confidential_client_proves_itself_with_its_private_key(private: Any, ehr: StandIn, tmp_path: Path) -> None:
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    known(ehr, public_key=public.decode())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    window = browser(tmp_path, ehr, registration(ehr, private_key_file="key.pem", key_id="2026-1"))
    assert window.launch(ehr, launch=ehr.launch(case(COURSE).patient_id)).status_code == 200
    assert len(ehr.assertions) > 0
    published = window.open("/smart/jwks.json").json
    assert published is not None
    (key,) = published["keys"]
    assert key["kid"] == "2026-1"
    assert key["alg"] in {"RS384", "ES384"}
    assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}


def test_a_client_with_the_wrong_secret_is_told_that_the_ehr_does_not_take_it(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr, secret="another")
    (tmp_path / "secret").write_text("kept-in-a-file", encoding="utf-8")
    window = browser(tmp_path, ehr, registration(ehr, client_secret_file="secret"))
    shown = window.launch(ehr, launch=ehr.launch(case(COURSE).patient_id))
    assert shown.status_code == 502
    assert "did not accept this app as its client" in shown.text


def test_a_patient_who_has_nothing_to_do_with_the_drug_gets_a_page_that_says_so(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY))
    assert shown.status_code == 200
    assert "No tarlatamab on record, neither ordered nor given nor claimed" in shown.text
    assert summaries(shown.text) == []
    assert "<svg" not in shown.text
    assert "/fhir/Observation" not in ehr.paths()


def test_an_ehr_that_shows_the_patient_itself_gets_the_id_alone(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.token["need_patient_banner"] = False
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY))
    assert f"Patient id {NOBODY}" in shown.text
    assert "Erika" not in shown.text


def test_an_ehr_that_does_not_say_who_shows_the_patient_gets_name_and_birth_date(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.token["need_patient_banner"] = None
    assert "Erika Example" in browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(NOBODY)).text


def test_what_was_not_granted_is_a_card(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.reader = READS_NO_OBSERVATIONS
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(case(COURSE).patient_id))
    assert shown.status_code == 200
    assert "the FHIR server does not allow this to be read (403)" in unescape(shown.text)


def test_two_launches_in_two_windows_never_take_each_others_patient(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    first, second = case(COURSE).patient_id, case(STOPPED).patient_id
    to_first = window.log_in(window.begin(ehr, launch=ehr.launch(first)))
    to_second = window.log_in(window.begin(ehr, launch=ehr.launch(second)))
    at_first, at_second = window.arrive(to_first), window.arrive(to_second)
    assert f"id {second}</p>" in window.open(at_second).text
    assert f"id {first}</p>" in window.open(at_first).text


def test_a_reload_shows_nothing_and_asks_to_launch_again(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    page = window.arrive(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    assert window.open(page).status_code == 200
    again = window.open(page)
    assert again.status_code == 410
    assert "Launch the app again" in again.text
    assert "Erika" not in again.text


def test_what_only_looks_at_the_links_takes_no_launch_away_from_its_user(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)

    def looked_at(address: str) -> TestResponse:
        return window.app.head(address, base_url=window.public_url)

    assert looked_at(f"/smart/launch?iss={ehr.iss}").status_code == 405
    back = window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY)))
    assert looked_at(back.removeprefix(window.public_url)).status_code == 405
    page = window.arrive(back)
    refused = looked_at(page)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, OPTIONS")
    assert window.open(page).status_code == 200


def test_metrics_count_the_steps_of_launches(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    window = browser(tmp_path, ehr)
    page = window.arrive(window.log_in(window.begin(ehr, launch=ehr.launch(NOBODY))))
    assert [window.open(page).status_code for _ in range(2)] == [200, 410]
    text = window.app.get("/metrics").get_data(as_text=True)
    counted = re.findall(r'^cds_smart_steps_total\{outcome="(.+?)",step="(.+?)"\} (.+)$', text, re.MULTILINE)
    ok = {("ok", step, "1.0") for step in ("launch", "redirect", "view")}
    assert set(counted) == ok | {("gone", "view", "1.0")}


@pytest.mark.parametrize("place", ["address", "token response"])
def test_the_row_that_a_card_named_is_said_above_the_advice(place: str, ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    context = '{"row": "R2"}'
    if place == "token response":
        ehr.token["appContext"] = context
    asked = {"appContext": context} if place == "address" else {}
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(case(COURSE).patient_id), **asked)
    assert 'You come from a card of row <a href="/knowledge#R2">R2</a>' in shown.text
    assert "not repeated here" in shown.text


@pytest.mark.parametrize("context", ["<script>", '{"row": "R2<b>"}', '{"row": "NO-SUCH-ROW"}', "R2", "x" * 5000])
def test_a_context_that_is_none_of_ours_is_passed_over(context: str, ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    ehr.token["appContext"] = context
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch(case(COURSE).patient_id))
    assert shown.status_code == 200
    assert "You come from" not in shown.text


def test_markup_in_a_name_and_in_the_record_stays_text(ehr: StandIn, tmp_path: Path) -> None:
    known(ehr)
    hostile = "<script>alert(1)</script>\u202e"
    ehr.fhir.load([person("hostile-1", name=[{"text": hostile}], birthDate="1957-03-04")])
    shown = browser(tmp_path, ehr).launch(ehr, launch=ehr.launch("hostile-1"))
    assert "<script>" not in shown.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</strong>" in shown.text
    assert "script-src 'self'" in shown.headers["Content-Security-Policy"]


def test_the_service_may_lie_under_a_path(ehr: StandIn, tmp_path: Path) -> None:
    public = "http://127.0.0.1:8080/base"
    known(ehr, public)
    window = browser(tmp_path, ehr, CDS_PUBLIC_URL=public)
    shown = window.launch(ehr, launch=ehr.launch(NOBODY))
    assert shown.status_code == 200
    assert window.places[-1].startswith("/base/smart/view/")
    assert 'href="/base/static/smart.css"' in shown.text
