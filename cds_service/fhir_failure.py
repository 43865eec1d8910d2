"""Why something could not be had from a FHIR server: each reason by its name, and in a sentence of ours."""

from __future__ import annotations

from enum import Enum


class Failure(Enum):
    """Why something could not be had. The value is the sentence that a prescriber reads."""

    NO_TOKEN = "the call brought no access token for the FHIR server"  # noqa: S105 - a sentence, no secret
    ADDRESS_NOT_ALLOWED = "FHIR server address not allowed"
    NOT_AUTHORISED = "the FHIR server did not accept the access token (401)"
    FORBIDDEN = "the FHIR server does not allow this to be read (403)"
    NOT_FOUND = "the FHIR server does not have it (404)"
    NOT_SUPPORTED = "the FHIR server does not support this search"
    TOO_MANY_REQUESTS = "the FHIR server is asked too often (429)"
    SERVER_ERROR = "the FHIR server failed (5xx)"
    REFUSED = "the FHIR server refused the query"
    REDIRECTED = "the FHIR server redirects, and redirects are not followed"
    TIMEOUT = "the FHIR server did not answer in time"
    CONNECTION_FAILED = "the connection to the FHIR server failed"
    MALFORMED = "the FHIR server's answer is not the FHIR resource asked for"
    TOO_LARGE = "the FHIR server's answer is too large"
    TOO_MANY_PAGES = "the FHIR server's answer has too many pages"
    LINK_ELSEWHERE = "a next link that leads elsewhere is not followed"
    LINK_REPEATS = "the next links of the answer go round in a circle"


class FhirFailed(Exception):
    """One read failed. The text is our own sentence; nothing of request or answer is in it."""

    def __init__(self, failure: Failure, status: int = 0) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.status = status
