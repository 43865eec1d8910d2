"""Reads from the FHIR server that a call names: in parallel, and never for longer than the call's budget.

The time-outs of an HTTP library start anew with every byte that arrives, so a dripping server stretches them. Here the
thread that waits for the answers is the watchdog: when the budget is spent it shuts every socket the call still holds.

What fails has one of the names in `Failure`. No token, URL or body ever stands in an exception or a log line.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from ipaddress import ip_address
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection
from urllib3.util.ssl_ import create_urllib3_context

from cds_service.fhir_address import AddressRule, Base, base_of, demonstration_rule, within
from fhir_mappings.chart import Resource

logging.getLogger("urllib3").setLevel(logging.WARNING)  # its debug lines hold URLs, and with them patient ids

MEBIBYTE: Final = 1024 * 1024
UNREADABLE_LINK: Final = "a next link that is no URL"
MOST_NESTED: Final = 100
MOST_DIGITS: Final = 64
SLACK_SECONDS: Final = 0.01
"""A failure this near to the end of the budget is the end of the budget."""


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


_STATUSES: Final[Mapping[int, Failure]] = {
    401: Failure.NOT_AUTHORISED,
    403: Failure.FORBIDDEN,
    429: Failure.TOO_MANY_REQUESTS,
}
_ABSENT: Final = frozenset({404, 405, 410, 501})
_STRICTLY_REFUSED: Final = frozenset({400, 422})


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much one question may bring: pages, bytes of one page as decompressed, and bytes of all its pages."""

    pages: int = 40
    page_bytes: int = 16 * MEBIBYTE
    all_bytes: int = 48 * MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: `Type/id`, a search, or the next link of a Bundle that came with the call."""

    query: str
    resource_type: str = "Bundle"


@dataclass(kw_only=True)
class Answer:
    """The pages read so far, and why they are not all. `unfiltered`: the server may have ignored search parameters.

    It lacks something until its reading has come to its end.
    """

    pages: list[Resource] = field(default_factory=list)
    failure: Failure | None = Failure.TIMEOUT
    unfiltered: bool = False


class _Failed(Exception):
    """One read failed; the text is our own sentence."""

    def __init__(self, failure: Failure, status: int = 0) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.status = status


# --- sockets that the end of a call can shut ------------------------------------------------------------------------


class _Call:
    """What one call holds open, and until when."""

    def __init__(self, *, budget_seconds: float, may_connect: AddressRule) -> None:
        self.deadline = time.monotonic() + budget_seconds
        self.may_connect = may_connect
        self.lines: set[_Line] = set()
        self.is_over = False

    def seconds_left(self) -> float:
        return 0.0 if self.is_over else max(0.0, self.deadline - time.monotonic())

    def hold(self, line: _Line) -> None:
        with _LOCK:
            if self.is_over:
                raise _Failed(Failure.TIMEOUT)
            line.holder = self
            self.lines.add(line)

    def let_go(self, line: _Line) -> None:
        with _LOCK:
            if line.holder is self:
                line.holder = None
            self.lines.discard(line)

    def end(self) -> None:
        """Shut every socket still held: whoever waits for a byte there gets an error at once."""
        with _LOCK:
            self.is_over = True
            for line in self.lines:
                if line.holder is self:
                    line.shut()
            self.lines.clear()


class _Current(threading.local):
    """The call that this thread works for."""

    def __init__(self) -> None:
        self.call: _Call | None = None
        self.lines: list[_Line] = []


_LOCK: Final = threading.Lock()
_CURRENT: Final = _Current()


class _Line(HTTPConnection):
    """A connection that checks where it goes, and that the end of the call can shut at any moment.

    `handle` is a second handle on the same socket: it still works while TLS wraps the first one, and shutting it does
    not race with the thread that reads.
    """

    handle: socket.socket | None = None
    holder: _Call | None = None

    def _new_conn(self) -> socket.socket:
        call = _CURRENT.call
        if call is None:
            raise _Failed(Failure.CONNECTION_FAILED)
        connected = self._connected(call)
        try:
            self._close_handle()
            self.handle = connected.dup()
            _attach(call, self)
        except _Failed:
            connected.close()
            raise
        return connected

    def _connected(self, call: _Call) -> socket.socket:
        """Connect to the first address that answers. One forbidden address among them and no call is made."""
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _Failed(Failure.CONNECTION_FAILED) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        scheme = "https" if isinstance(self, HTTPSConnection) else "http"
        if not all(call.may_connect(scheme, ip_address(address.split("%")[0])) for address in addresses):
            raise _Failed(Failure.ADDRESS_NOT_ALLOWED)
        for address in addresses:
            left = call.seconds_left()
            if left <= 0:
                break
            try:
                return create_connection((address, self.port), timeout=left, socket_options=self.socket_options)
            except OSError:
                continue
        raise _Failed(Failure.CONNECTION_FAILED)

    def request(self, *arguments: Any, **options: Any) -> None:
        if _CURRENT.call is not None:
            _attach(_CURRENT.call, self)
        super().request(*arguments, **options)

    def shut(self) -> None:
        if self.handle is not None:
            with suppress(OSError):  # the other side was faster
                self.handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self._close_handle()

    def _close_handle(self) -> None:
        handle, self.handle = self.handle, None
        if handle is not None:
            handle.close()


class _TlsLine(_Line, HTTPSConnection):
    """The same by TLS."""


class _LinePool(HTTPConnectionPool):
    ConnectionCls = _Line


class _TlsLinePool(HTTPSConnectionPool):
    ConnectionCls = _TlsLine


class _Adapter(HTTPAdapter):
    """Used without a Session: it knows no environment, cookies or redirects, and so cannot follow any."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=_tls_context())
        self.poolmanager.pool_classes_by_scheme = {"http": _LinePool, "https": _TlsLinePool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - as requests calls it
        """Always, and by the context above: requests would read the authorities anew for every connection."""
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def _tls_context() -> SSLContext:
    """The certificate authorities, read once for the process: reading them takes longer than many an answer."""
    context = create_urllib3_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _attach(call: _Call, line: _Line) -> None:
    call.hold(line)
    _CURRENT.lines.append(line)


@contextmanager
def _working_for(call: _Call) -> Iterator[None]:
    lines: list[_Line] = []
    _CURRENT.call, _CURRENT.lines = call, lines
    try:
        yield
    finally:
        for line in lines:
            call.let_go(line)
        _CURRENT.call, _CURRENT.lines = None, []


# --- one process, one call ------------------------------------------------------------------------------------------


class FhirClient:
    """What the calls of one process share: open connections for each FHIR base, and a bounded number of threads.

    Threads and connections come into being with the first read, so a server may fork after this is made.
    """

    def __init__(
        self,
        *,
        budget_ms: int,
        may_connect: AddressRule = demonstration_rule,
        threads: int = 24,
        bases: int = 32,
        bounds: Bounds = Bounds(),
    ) -> None:
        self.bounds = bounds
        self._budget_seconds = budget_ms / 1000
        self._may_connect = may_connect
        self._threads = threads
        self._bases = bases
        self._adapters: OrderedDict[Base, _Adapter] = OrderedDict()
        self._lock = threading.Lock()
        self.executor: Final = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fhir")

    def reader(self, base_url: str | None, token: str | None = None) -> FhirReader | None:
        """The reader for one call, whose budget begins now; None where the call names no FHIR server."""
        if not base_url:
            return None
        call = _Call(budget_seconds=self._budget_seconds, may_connect=self._may_connect)
        return FhirReader(client=self, call=call, base=base_of(base_url), token=token)

    def adapter(self, base: Base) -> _Adapter:
        """The open connections to this server; those of the server that was asked longest ago are given up."""
        with self._lock:
            if base not in self._adapters:
                self._adapters[base] = _Adapter(pool_connections=1, pool_maxsize=self._threads, max_retries=0)
            self._adapters.move_to_end(base)
            given_up = [self._adapters.popitem(last=False)[1] for _ in range(len(self._adapters) - self._bases)]
            adapter = self._adapters[base]
        for old in given_up:
            old.close()
        return adapter

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()
            self._adapters.clear()

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FhirReader:
    """Reads for one call. The token goes with every request to the call's own server, and nowhere else."""

    def __init__(self, *, client: FhirClient, call: _Call, base: Base | None, token: str | None) -> None:
        self._client = client
        self._call = call
        self._base = base
        self._token = token

    def __repr__(self) -> str:
        return "FhirReader()"

    def answers(self, questions: Mapping[str, Question]) -> dict[str, Answer]:
        """Ask everything at once, and wait no longer than the call's budget. Each answer says what it lacks.

        What has come of an answer when the time is over is kept.
        """
        refused = self._refusal()
        if refused is not None:
            return {key: Answer(failure=refused) for key in questions}
        growing = {key: Answer() for key in questions}
        futures = {
            key: self._client.executor.submit(self._fill, growing[key], question) for key, question in questions.items()
        }
        late = wait(futures.values(), timeout=self._call.seconds_left()).not_done
        if late:
            self._call.end()
        for future in futures.values():
            if future not in late:
                future.result()  # a mistake of ours is no failure of the server: it is raised
        return {
            key: Answer(pages=list(answer.pages), failure=Failure.TIMEOUT, unfiltered=answer.unfiltered)
            if futures[key] in late
            else answer
            for key, answer in growing.items()
        }

    def reaches(self, link: str) -> bool:
        """Whether this reference, relative or absolute, is one of the call's own server."""
        return self._base is not None and within(self._base, link) is not None

    def _refusal(self) -> Failure | None:
        """Why no request is made at all."""
        if self._base is None:
            return Failure.ADDRESS_NOT_ALLOWED
        if self._token is None and not self._base.is_on_this_machine:
            return Failure.NO_TOKEN
        return None

    def _fill(self, answer: Answer, question: Question) -> None:
        """Read the pages of one answer, each into it as it comes."""
        try:
            with _working_for(self._call):
                self._read_pages(answer, question)
            answer.failure = None
        except _Failed as failed:
            answer.failure = failed.failure

    def _read_pages(self, answer: Answer, question: Question) -> None:
        url: str | None = self._address(question.query)
        seen: set[str] = set()
        bytes_left = self._client.bounds.all_bytes
        while url is not None:
            if url in seen:
                raise _Failed(Failure.LINK_REPEATS)
            if len(seen) == self._client.bounds.pages:
                raise _Failed(Failure.TOO_MANY_PAGES)
            seen.add(url)
            body = self._body(url, answer, question, most=min(bytes_left, self._client.bounds.page_bytes))
            bytes_left -= len(body)
            page = _resource(body, question.resource_type)
            answer.pages.append(page)
            link = next_link(page)
            url = self._address(link) if link else None

    def _address(self, link: str) -> str:
        url = within(self._base, link) if self._base is not None else None
        if url is None:
            raise _Failed(Failure.LINK_ELSEWHERE)
        return url

    def _body(self, url: str, answer: Answer, question: Question, *, most: int) -> bytes:
        """The bytes at `url`. A search that is refused for a parameter the server does not know is asked leniently.

        A broken connection is tried once more (a kept-open one may just have been closed), within the same budget.
        """
        try:
            try:
                return self._get(url, most=most, strict=not answer.unfiltered)
            except _Failed as failed:
                if failed.failure is Failure.CONNECTION_FAILED:
                    return self._get(url, most=most, strict=not answer.unfiltered)
                if failed.status not in _STRICTLY_REFUSED or answer.unfiltered or question.resource_type != "Bundle":
                    raise
                answer.unfiltered = True
                return self._get(url, most=most, strict=False)
        except _Failed as failed:
            if failed.failure is Failure.NOT_SUPPORTED and question.resource_type != "Bundle":
                raise _Failed(Failure.NOT_FOUND) from None
            raise

    def _get(self, url: str, *, most: int, strict: bool) -> bytes:
        left = self._call.seconds_left()
        if left <= 0:
            raise _Failed(Failure.TIMEOUT)
        try:
            adapter = self._client.adapter(self._base) if self._base is not None else _Adapter()
            response = adapter.send(self._request(url, strict=strict), stream=True, timeout=(left, left), verify=True)
            try:
                _check_status(response.status_code)
                return _bounded(response, most)
            finally:
                response.close()
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if isinstance(error, requests.Timeout) or self._call.seconds_left() <= SLACK_SECONDS:
                raise _Failed(Failure.TIMEOUT) from None
            if isinstance(error, requests.exceptions.ContentDecodingError):
                raise _Failed(Failure.MALFORMED) from None
            raise _Failed(Failure.CONNECTION_FAILED) from None

    def _request(self, url: str, *, strict: bool) -> requests.PreparedRequest:
        headers = {
            "Accept": "application/fhir+json",
            "Prefer": f"handling={'strict' if strict else 'lenient'}",
            "User-Agent": "tarlatamab-cds",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return requests.Request("GET", url, headers=headers).prepare()


# --- one answer -----------------------------------------------------------------------------------------------------


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status in _STATUSES:
        raise _Failed(_STATUSES[status])
    if status in _ABSENT:
        raise _Failed(Failure.NOT_SUPPORTED)
    if 300 <= status < 400:
        raise _Failed(Failure.REDIRECTED)
    if status < 300:
        raise _Failed(Failure.MALFORMED)
    raise _Failed(Failure.SERVER_ERROR if status >= 500 else Failure.REFUSED, status)


def _bounded(response: requests.Response, most: int) -> bytes:
    """The body, as long as it has at most so many bytes (counted after decompression)."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > most:
        raise _Failed(Failure.TOO_LARGE)
    body = bytearray()
    for chunk in response.iter_content(65_536):
        body += chunk
        if len(body) > most:
            raise _Failed(Failure.TOO_LARGE)
    return bytes(body)


def _number(text: str) -> Decimal | str:
    """A decimal with the digits it was sent with; beyond reason it stays a text, and its resource says so itself."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if abs(number.adjusted()) <= MOST_DIGITS else text


_DECODER: Final = msgspec.json.Decoder(float_hook=_number)


def _resource(body: bytes, resource_type: str) -> Resource:
    """The resource in `body`: of the type asked for, or an OperationOutcome in its place."""
    try:
        found = _DECODER.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Failed(Failure.MALFORMED) from None
    if not isinstance(found, dict) or found.get("resourceType") not in (resource_type, "OperationOutcome"):
        raise _Failed(Failure.MALFORMED)
    if _nests_deeper_than(found, MOST_NESTED):
        raise _Failed(Failure.MALFORMED)
    return found


def _nests_deeper_than(root: object, most: int) -> bool:
    """Whether the JSON nests deeper than any chart does: readers of it may recurse."""
    level = [root]
    for _ in range(most):
        if not level:
            return False
        inner = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)]
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
    return bool(level)


def next_link(bundle: Resource) -> str:
    """Where the next page of a Bundle is, "" for the last one."""
    links = bundle.get("link")
    for link in links if isinstance(links, list) else [links]:
        if isinstance(link, Mapping) and link.get("relation") == "next":
            url = link.get("url")
            return url if isinstance(url, str) and url else UNREADABLE_LINK
    return ""
