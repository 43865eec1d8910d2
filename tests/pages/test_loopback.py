"""Who sits at the machine: each condition in a pair, with everything else as it should be."""

from typing import Any, Final

import pytest

from cds_service.loopback import asks_here

AT_THE_MACHINE: Final[dict[str, Any]] = {
    "peer": "127.0.0.1",
    "host": "127.0.0.1:8080",
    "scheme": "http",
    "port": "8080",
    "origin": None,
    "names": ("Host", "User-Agent", "Accept"),
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"peer": "127.8.9.10"},
        {"peer": "::1", "host": "[::1]:8080"},
        {"peer": "::ffff:127.0.0.1"},
        {"host": "localhost:8080"},
        {"host": "LOCALHOST:8080"},
        {"host": "localhost", "port": "80"},
        {"host": "localhost", "port": "443", "scheme": "https"},
        {"origin": "http://127.0.0.1:8080"},
    ],
    ids=repr,
)
def test_whoever_asks_this_machine_at_this_machine_sits_here(change: dict[str, Any]) -> None:
    assert asks_here(**AT_THE_MACHINE | change)


@pytest.mark.parametrize(
    "change",
    [
        {"peer": "10.0.0.7"},
        {"peer": "::ffff:10.0.0.7"},
        {"peer": "169.254.1.1"},
        {"peer": ""},
        {"peer": "unix:"},
        {"host": ""},
        {"host": "cds.example"},
        {"host": "rebound.example:8080"},
        {"host": "localhost.evil.example:8080"},
        {"host": "127.0.0.1.evil.example:8080"},
        {"host": "localhost:8080,evil.example"},
        {"host": "user@localhost:8080"},
        {"host": "localhost.:8080"},
        {"host": "127.0.0.1:8080\n"},
        {"host": "localhost"},  # through a proxy at port 80 that hands on the name
        {"host": "localhost:443"},
        {"host": "localhost:٨٠٨٠"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"names": ("Host", "X-Forwarded-For")},
        {"names": ("host", "x-forwarded-host")},
        {"names": ("Host", "X-Forwarded-Proto")},
        {"names": ("Host", "Forwarded")},
        {"names": ("Host", "X-Real-IP")},
        {"names": ("Host", "Via")},
        {"names": ("Host", "CF-Connecting-IP")},
    ],
    ids=repr,
)
def test_nobody_else_does(change: dict[str, Any]) -> None:
    assert not asks_here(**AT_THE_MACHINE | change)
