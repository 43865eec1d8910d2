"""The public keys of a client: pinned in its profile, or fetched from its `jwks_url` and kept.

A fetched set is kept for LIFETIME, asked again at once for a key that it lacks (but no oftener than every PAUSE), and
kept on when the address fails: an EHR whose key server is down still gets advice, and the log says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from cds_service.clients import Client
from cds_service.fhir_failure import FhirFailed

LIFETIME: Final = 3_600.0
PAUSE: Final = 10.0
PATIENCE: Final = 1.0
"""Seconds. PATIENCE: how long a call waits for the fetch of another one; an EHR does not wait longer for an answer."""

KeySet: TypeAlias = tuple[Mapping[str, Any], ...]

log: Final = logging.getLogger("cds_service")


@dataclass(kw_only=True)
class _Shelf:
    """One client's fetched keys. `asked_at` and `had_at`: readings of the clock (seconds), None before the first."""

    keys: KeySet = ()
    asked_at: float | None = None
    had_at: float | None = None
    fetching: threading.Lock = field(default_factory=threading.Lock)


class KeyShelf:
    """The keys of all clients, for the life of a process.

    `fetch` gives the bytes at an address or raises FhirFailed; `clock` is monotonic, in seconds.
    """

    def __init__(self, clients: Iterable[Client], *, fetch: Callable[[str], bytes], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._shelves = {client.name: _Shelf() for client in clients if client.jwks_url}

    def keys(self, client: Client, kid: str) -> KeySet:
        """The client's keys of this id; none where it has none, or they cannot be had now."""
        if client.jwks is not None:
            return _named(_keys_in(client.jwks), kid)
        shelf = self._shelves[client.name]
        found = _named(shelf.keys, kid)
        if not (found and self._is_fresh(shelf)):
            self._renew(client, shelf, must_wait=not found)
            found = _named(shelf.keys, kid)
        return found

    def _is_fresh(self, shelf: _Shelf) -> bool:
        return shelf.had_at is not None and self._clock() - shelf.had_at < LIFETIME

    def _renew(self, client: Client, shelf: _Shelf, *, must_wait: bool) -> None:
        """Fetch, unless it was done or tried a moment ago. Who has a key already does not wait for another's fetch."""
        if not shelf.fetching.acquire(timeout=PATIENCE if must_wait else 0):
            return
        try:
            now = self._clock()
            if shelf.asked_at is not None and now - shelf.asked_at < PAUSE:
                return
            shelf.asked_at = now
            keys = self._fetched(client)
            if keys:
                shelf.keys, shelf.had_at = keys, now
        finally:
            shelf.fetching.release()

    def _fetched(self, client: Client) -> KeySet:
        """The keys at the client's address; none (with a line in the log) where there are none to be had."""
        try:
            keys = _keys_in(msgspec.json.decode(self._fetch(client.jwks_url or "")))
        except (FhirFailed, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = error.failure.name if isinstance(error, FhirFailed) else "it is not JSON"
        else:
            why = "" if keys else "it holds no keys"
        if why:
            line = {"event": "keys", "state": "unavailable", "client": client.name, "error": why}
            log.error(msgspec.json.encode(line).decode())
            return ()
        return keys


def _keys_in(found: Any) -> KeySet:
    """The keys of a JWK Set that are for signatures; `[]` for anything else."""
    keys = found.get("keys") if isinstance(found, dict) else None
    return tuple(
        key
        for key in (keys if isinstance(keys, list) else ())
        if isinstance(key, dict) and key.get("use") in (None, "sig")  # a list has no place in a set
    )


def _named(keys: KeySet, kid: str) -> KeySet:
    return tuple(key for key in keys if key.get("kid") == kid)
