"""Does somebody at this very machine ask, and not another through a proxy or through a browser that was deceived?

A peer at the loopback address proves little: a proxy on this machine makes everybody look so, and a foreign page can
lead a browser here under a name of its own (DNS rebinding). So what was asked for has to fit as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final

HERE: Final = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

OF_PROXIES: Final = frozenset(
    {
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-host", "x-proxyuser-ip"),
        *("client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-envoy-external-address"),
    }
)
"""Headers that proxies add, in small letters; and all that begin with `x-forwarded`."""


def asks_here(*, peer: str, host: str, scheme: str, port: str, origin: str | None, names: Iterable[str]) -> bool:
    """Whether the request of this peer was made at this machine, for this machine, by nothing in between.

    `host`: the Host header; its port has to be `port`, the one that this process listens on, which a proxy's is not.
    `origin`: the Origin header, which a page of another site cannot leave out where it could read the answer.
    `names`: those of all headers.
    """
    named = HERE.fullmatch(host)
    return (
        _is_loopback(peer)
        and named is not None
        and (named[1] or DEFAULT_PORTS.get(scheme)) == port
        and origin in (None, f"{scheme}://{host}")
        and not any(name.lower() in OF_PROXIES or name.lower().startswith("x-forwarded") for name in names)
    )


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False  # a socket in the file system has no address
    inside = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inside or address).is_loopback
