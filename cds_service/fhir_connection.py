"""Connections to FHIR servers that know where they may go, and that the end of a call's time can shut at any moment.

The time-outs of an HTTP library start anew with every byte that arrives, so a dripping server stretches them. Here the
thread that waits for the answers is the watchdog: when the time is over it shuts every socket that the call still uses.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any, Final

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection
from urllib3.util.ssl_ import create_urllib3_context

from cds_service.fhir_address import AddressRule
from cds_service.fhir_failure import Failure, FhirFailed


class CallTime:
    """How long one call may still take by this monotonic clock (seconds), and what it holds open."""

    def __init__(self, *, budget_seconds: float, clock: Callable[[], float], may_connect: AddressRule) -> None:
        self.may_connect = may_connect
        self._clock = clock
        self._deadline = clock() + budget_seconds
        self._holds: set[_Hold] = set()
        self._is_over = False

    def seconds_left(self) -> float:
        return 0.0 if self._is_over else max(0.0, self._deadline - self._clock())

    def hold(self, line: _Line) -> _Hold:
        """Raises: FhirFailed when the time is over."""
        with _LOCK:
            if self._is_over:
                raise FhirFailed(Failure.TIMEOUT)
            line.holder = hold = _Hold(line)
            self._holds.add(hold)
            return hold

    def let_go(self, hold: _Hold) -> None:
        with _LOCK:
            self._holds.discard(hold)
            hold.line.let_go(hold)

    def end(self) -> None:
        """Shut every socket still in use: whoever waits for a byte there gets an error at once."""
        with _LOCK:
            self._is_over = True
            for hold in self._holds:
                if hold.line.holder is hold:  # else the line has gone on to another request
                    hold.line.shut()
            self._holds.clear()


class _Hold:
    """The use of a line by one request."""

    def __init__(self, line: _Line) -> None:
        self.line = line


class _Current(threading.local):
    """What this thread works for: which call, and the lines that its present request uses."""

    def __init__(self) -> None:
        self.call: CallTime | None = None
        self.holds: list[_Hold] = []


_LOCK: Final = threading.Lock()
_CURRENT: Final = _Current()


@contextmanager
def one_request(call: CallTime) -> Iterator[None]:
    """While this lasts, the lines that this thread uses are the call's."""
    holds: list[_Hold] = []
    _CURRENT.call, _CURRENT.holds = call, holds
    try:
        yield
    finally:
        for hold in holds:
            call.let_go(hold)
        _CURRENT.call, _CURRENT.holds = None, []


def _hold(call: CallTime, line: _Line) -> None:
    _CURRENT.holds.append(call.hold(line))


class _Line(HTTPConnection):
    """A connection that checks where it goes, and that the end of the call can shut at any moment.

    `handle` is a second handle on the same socket: it still works while TLS wraps the first one, and shutting it does
    not race with the thread that reads.
    """

    handle: socket.socket | None = None
    holder: _Hold | None = None

    def _new_conn(self) -> socket.socket:
        call = _CURRENT.call
        if call is None:
            raise FhirFailed(Failure.CONNECTION_FAILED)
        connected = self._connected(call)
        try:
            self._close_handle()
            self.handle = connected.dup()
            _hold(call, self)
        except FhirFailed:
            connected.close()
            raise
        return connected

    def _connected(self, call: CallTime) -> socket.socket:
        """Connect to the first address that answers. One forbidden address among them and no call is made."""
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise FhirFailed(Failure.CONNECTION_FAILED) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        scheme = "https" if isinstance(self, HTTPSConnection) else "http"
        if not all(call.may_connect(scheme, ip_address(address.split("%")[0])) for address in addresses):
            raise FhirFailed(Failure.ADDRESS_NOT_ALLOWED)
        for address in addresses:
            left = call.seconds_left()
            if left <= 0:
                break
            try:
                return create_connection((address, self.port), timeout=left, socket_options=self.socket_options)
            except OSError:
                continue
        raise FhirFailed(Failure.CONNECTION_FAILED)

    def request(self, *arguments: Any, **options: Any) -> None:
        if _CURRENT.call is not None:
            _hold(_CURRENT.call, self)
        super().request(*arguments, **options)

    def shut(self) -> None:
        if self.handle is not None:
            with suppress(OSError):  # the other side was faster
                self.handle.shutdown(socket.SHUT_RDWR)

    def let_go(self, hold: _Hold) -> None:
        """The request that held this line is over."""
        if self.holder is hold:
            self.holder = None
            if self.sock is None:
                self._close_handle()

    def close(self) -> None:
        """An answer that ends with its connection is still read after this: till then the handle stays."""
        super().close()
        if self.holder is None:
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


class FhirAdapter(HTTPAdapter):
    """Used without a Session: it knows no environment, cookies or redirects, and so cannot follow any."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=tls_context())
        self.poolmanager.pool_classes_by_scheme = {"http": _LinePool, "https": _TlsLinePool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - as requests calls it
        """Always, and by the context above: requests would read the authorities anew for every connection."""
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def tls_context() -> SSLContext:
    """The certificate authorities, read once for the process: reading them takes longer than many an answer."""
    context = create_urllib3_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.load_default_certs()  # those of the machine too: a hospital has an authority of its own
    return context
