"""What a user is told when the SMART app cannot be shown, and the status of the page that says so."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from cds_service.errors import Trouble

SAID: Final[Mapping[Trouble, tuple[HTTPStatus, str]]] = {
    Trouble.NO_ISSUER: (HTTPStatus.BAD_REQUEST, "The launch names no FHIR server (iss)."),
    Trouble.UNKNOWN_ISSUER: (
        HTTPStatus.FORBIDDEN,
        "This app is not registered with the FHIR server that the launch names; nothing was asked there.",
    ),
    Trouble.NOT_STANDALONE: (HTTPStatus.FORBIDDEN, "With this EHR the app is launched from the patient's chart only."),
    Trouble.TOO_LONG: (HTTPStatus.BAD_REQUEST, "The launch is longer than this app takes."),
    Trouble.NO_CONFIGURATION: (HTTPStatus.BAD_GATEWAY, "The EHR's SMART configuration cannot be had."),
    Trouble.BAD_CONFIGURATION: (HTTPStatus.BAD_GATEWAY, "The EHR's SMART configuration cannot be used."),
    Trouble.NO_PKCE: (HTTPStatus.BAD_GATEWAY, "The EHR does not support PKCE (S256), without which no code is safe."),
    Trouble.STATE: (
        HTTPStatus.BAD_REQUEST,
        "This answer belongs to no launch of this browser in the last ten minutes. Launch the app again.",
    ),
    Trouble.USED: (HTTPStatus.BAD_REQUEST, "This launch was used before. Launch the app again."),
    Trouble.OTHER_ISSUER: (HTTPStatus.BAD_REQUEST, "The answer does not come from the EHR where the launch began."),
    Trouble.DENIED: (HTTPStatus.FORBIDDEN, "Access to the record was not granted."),
    Trouble.NOT_AUTHORIZED: (HTTPStatus.BAD_GATEWAY, "The EHR's authorization server refused the launch."),
    Trouble.NO_CODE: (HTTPStatus.BAD_REQUEST, "The answer of the authorization server holds no usable code."),
    Trouble.GONE: (
        HTTPStatus.GONE,
        "This page was shown once and is not kept. Launch the app again to see the record as it is now.",
    ),
    Trouble.CODE_REFUSED: (
        HTTPStatus.BAD_GATEWAY,
        "The EHR did not accept the code of this launch: it was used before, or is too old. Launch the app again.",
    ),
    Trouble.TOKEN_REFUSED: (
        HTTPStatus.BAD_GATEWAY,
        "The EHR gave no access: it did not accept this app as its client.",
    ),
    Trouble.NO_TOKEN: (HTTPStatus.BAD_GATEWAY, "The EHR's token endpoint gave no access token."),
    Trouble.NO_PATIENT: (
        HTTPStatus.BAD_REQUEST,
        "The EHR named no patient. Open a patient's chart, or choose a patient, and launch the app again.",
    ),
    Trouble.RECORD: (HTTPStatus.BAD_GATEWAY, "The patient's record was not assessed."),
    Trouble.BUSY: (HTTPStatus.TOO_MANY_REQUESTS, "Too many launches are under way. Launch the app again in a moment."),
    Trouble.STORE: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The store is not available: nobody knows whether this launch was used before. Launch the app again.",
    ),
}
