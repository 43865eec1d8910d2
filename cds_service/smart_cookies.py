"""What a browser keeps of a SMART launch under way: one sealed cookie for each, gone when the page is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from flask import Response, request

from cds_service.errors import SmartRefused, Trouble
from cds_service.sealed import Seal
from cds_service.smart import Arrival, Launch
from cds_service.smart_registrations import Issuer

MOST_IN_A_COOKIE: Final = 3_800
"""Bytes; browsers drop a cookie of more than 4,096 with its name and attributes."""

_Kept = TypeVar("_Kept", Launch, Arrival)


@dataclass(frozen=True, kw_only=True)
class LaunchCookies:
    """`root`: the path under which the service is reached, "" or "/base"; `is_encrypted`: whether by https."""

    seal: Seal
    root: str
    is_encrypted: bool

    def kept(self, launch_id: str, kind: type[_Kept], *, most_seconds: int) -> _Kept | None:
        """What this browser keeps of the launch, if it is of this kind; None where it keeps nothing of it."""
        sealed = request.cookies.get(self._name(launch_id), "")
        content = self.seal.opened(sealed, most_seconds=most_seconds) if sealed else None
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.MsgspecError:
            return None

    def put(self, response: Response, issuer: Issuer, launch_id: str, kept: Launch | Arrival, *, seconds: int) -> None:
        """Within a page of the EHR's (a frame) a browser sends only cookies that are for other sites, too.

        Raises: SmartRefused where it would not fit.
        """
        sealed = self.seal.closed(msgspec.json.encode(kept))
        if len(sealed) > MOST_IN_A_COOKIE:
            raise SmartRefused(Trouble.TOO_LONG)
        is_framed = self.is_encrypted and bool(issuer.registered.embedded_by)
        response.set_cookie(
            self._name(launch_id),
            sealed,
            max_age=seconds,
            samesite="None" if is_framed else "Lax",
            partitioned=is_framed,
            **self._place(),
        )

    def drop(self, response: Response, launch_id: str) -> None:
        """Both kinds: whether this one was for frames is not known any more."""
        for partitioned in (False, True) if self.is_encrypted else (False,):
            response.delete_cookie(
                self._name(launch_id),
                samesite="None" if partitioned else "Lax",
                partitioned=partitioned,
                **self._place(),
            )

    def _name(self, launch_id: str) -> str:
        """`__Host-`: browsers take such a cookie from this very host alone, not from another one of its domain."""
        return f"{'__Host-' if self.is_encrypted else ''}cds-smart-{launch_id}"

    def _place(self) -> Mapping[str, Any]:
        """Which requests it comes with. A `__Host-` cookie has to be for all of the host."""
        path = "/" if self.is_encrypted else f"{self.root}/smart"
        return {"path": path, "secure": self.is_encrypted, "httponly": True}
