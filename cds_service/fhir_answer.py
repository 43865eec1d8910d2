"""One HTTP answer of a FHIR server: its status, its bytes, and the resource in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import requests

from cds_service.errors import RequestError
from cds_service.fhir_failure import Failure, FhirFailed
from cds_service.json_numbers import number_or_text
from cds_service.limits import values_in
from fhir_mappings.chart import Resource

UNREADABLE_LINK: Final = "a next link that is no URL"

_STATUSES: Final[Mapping[int, Failure]] = {
    401: Failure.NOT_AUTHORISED,
    403: Failure.FORBIDDEN,
    429: Failure.TOO_MANY_REQUESTS,
}
_ABSENT: Final = frozenset({404, 405, 410, 501})


def check_status(status: int) -> None:
    if status == 200:
        return
    if status in _STATUSES:
        raise FhirFailed(_STATUSES[status])
    if status in _ABSENT:
        raise FhirFailed(Failure.NOT_SUPPORTED)
    if 300 <= status < 400:
        raise FhirFailed(Failure.REDIRECTED)
    if status < 300:
        raise FhirFailed(Failure.MALFORMED)
    raise FhirFailed(Failure.SERVER_ERROR if status >= 500 else Failure.REFUSED, status)


def body_of(response: requests.Response, most: int) -> bytes:
    """The body, as long as it has at most so many bytes (counted after decompression)."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > most:
        raise FhirFailed(Failure.TOO_LARGE)
    body = bytearray()
    for chunk in response.iter_content(65_536):
        body += chunk
        if len(body) > most:
            raise FhirFailed(Failure.TOO_LARGE)
    return bytes(body)


_DECODER: Final = msgspec.json.Decoder(float_hook=number_or_text)


def resource_in(body: bytes, resource_type: str) -> Resource:
    """The resource in `body`: of the type asked for, or an OperationOutcome in its place."""
    try:
        found = _DECODER.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise FhirFailed(Failure.MALFORMED) from None
    if not isinstance(found, dict) or found.get("resourceType") not in (resource_type, "OperationOutcome"):
        raise FhirFailed(Failure.MALFORMED)
    try:
        values_in(found)  # readers of it may recurse
    except RequestError:
        raise FhirFailed(Failure.MALFORMED) from None
    return found


def next_link(bundle: Resource) -> str:
    """Where the next page of a Bundle is, "" for the last one."""
    links = bundle.get("link")
    for link in links if isinstance(links, list) else [links]:
        if isinstance(link, dict) and link.get("relation") == "next":
            url = link.get("url")
            return url if isinstance(url, str) and url else UNREADABLE_LINK
    return ""
