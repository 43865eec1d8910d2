"""Which FHIR servers may be called, and which links stay on the same server? Pure: resolving names is not done here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

Address: TypeAlias = IPv4Address | IPv6Address
AddressRule: TypeAlias = Callable[[str, Address], bool]
"""Whether `scheme` may be spoken to this address."""

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_NAME: Final = 253
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*\.?")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_DOTS: Final = re.compile(
    r"/(?:\.|%2e){1,2}(?:[/;]|%2f|%3b|$)", re.IGNORECASE
)  # some servers drop `;` and what follows
_CLOUD_METADATA: Final = frozenset(
    map(ip_address, ("168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"))
)
"""Addresses beside the link-local ones that only answer inside one cloud."""
_PROTOCOL: Final = (ip_network("192.0.0.0/24"),)  # protocol assignments; clouds answer there, too
_TRANSLATED: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))  # NAT64: the IPv4 address at the end


@dataclass(frozen=True, kw_only=True)
class Base:
    """The base URL of a FHIR server: where it listens, and the path under which all of it lies ("" for the root)."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the host is spelt as this machine itself, without asking any name server."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def base_of(text: str) -> Base | None:
    """The base that a call names as its `fhirServer`; None for anything but a plain http or https URL."""
    parts = _split(text.strip())
    if parts is None or parts.query or parts.fragment or "?" in text or "#" in text:
        return None
    found = _place(parts)
    if found is None or _PATH.fullmatch(parts.path) is None or _DOTS.search(parts.path):
        return None
    scheme, host, port = found
    return Base(scheme=scheme, host=host, port=port, path=parts.path.rstrip("/"))


def within(base: Base, link: str) -> str | None:
    """The whole URL of a link (relative or absolute) if it stays on the same server, below the same path; else None."""
    if re.search(r"[\x00-\x20\\\x7f]", link):
        return None
    try:
        parts = _split(urljoin(f"{base.url}/", link))
    except ValueError:
        return None
    if parts is None or _place(parts) != (base.scheme, base.host, base.port) or _DOTS.search(parts.path):
        return None
    if parts.path != base.path and not parts.path.startswith(f"{base.path}/"):
        return None
    return f"{base.origin}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _place(parts: SplitResult) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for other schemes, for user names in the URL, and for what no host looks like."""
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or "@" in parts.netloc or not host or not _is_host(host):
        return None
    return parts.scheme, host, _PORTS[parts.scheme] if port is None else port


def _is_host(text: str) -> bool:
    """Whether this is the name of a machine, or an address."""
    if ":" not in text:
        return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None
    try:
        return ip_address(text).version == 6 and "%" not in text
    except ValueError:
        return False


def demonstration_rule(scheme: str, address: Address) -> bool:
    """Demo mode: this machine in any scheme, public addresses by https, nothing between.

    Link-local, private, shared and metadata addresses are refused, also inside an IPv6 address that stands for them.
    """
    if _is_loopback(address):
        return True
    meant = tuple(_meant_by(address))
    return scheme == "https" and all(each.is_global and not _is_special(each) for each in meant)


def production_rule(scheme: str, address: Address) -> bool:
    """A hospital's own networks and the Internet by https; never this machine, a link-local or a metadata address."""
    meant = tuple(_meant_by(address))
    return scheme == "https" and not any(
        each.is_loopback or each.is_link_local or each.is_unspecified or _is_special(each) for each in meant
    )


def listed_demonstration_rule(scheme: str, address: Address) -> bool:
    """Demo mode with client profiles: what production takes, and this machine in any scheme."""
    return _is_loopback(address) or production_rule(scheme, address)


def _is_loopback(address: Address) -> bool:
    """Whether packets to it stay on this machine: a translated or tunnelled loopback address leaves it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_special(address: Address) -> bool:
    """Special addresses that `is_global` lets pass."""
    if any(address in network for network in _PROTOCOL):
        return True
    if isinstance(address, IPv6Address) and address.is_site_local:
        return True
    return address.is_multicast or address.is_reserved or address in _CLOUD_METADATA


def _meant_by(address: Address) -> Iterator[Address]:
    """The addresses that packets to this one reach: itself, or the IPv4 address it carries."""
    if isinstance(address, IPv4Address):
        yield address
        return
    carried = address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _TRANSLATED):
        carried = IPv4Address(int(address) & 0xFFFFFFFF)
    if carried is not None:
        yield carried
    elif address.teredo is not None:
        yield from address.teredo
    else:
        yield address
