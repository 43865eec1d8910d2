"""One store for several processes or machines: a token is good for one call on all of them together."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.auth.tokens import claims, clients_file, jwk, profile, token
from tests.support.running import CALL, SIGN, Running, running


def called(service: Running, made: str, path: str = SIGN) -> int:
    body = CALL if path == SIGN else {"feedback": []}
    headers = {"Authorization": f"Bearer {made}"}
    return requests.post(service.base + path, json=body, headers=headers, timeout=20).status_code


@pytest.mark.conforms("C105")
def test_a_token_that_one_machine_has_seen_is_refused_by_the_other(url: str, tmp_path: Path) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text(clients_file(profile(jwks={"keys": [jwk()]})), encoding="utf-8")
    settings = {"CDS_CLIENTS": str(clients), "CDS_PUBLIC_URL": "https://cds.example/base"}
    with running(url, workers=0, **settings) as first, running(url, workers=0, **settings) as second:
        for here, there in ((first, second), (second, first)):
            made = token(claims(datetime.now(UTC)))
            assert called(here, made) == 200
            assert called(there, made) == 401
            assert called(there, made, f"{SIGN}/feedback") == 401
        assert called(second, token(claims(datetime.now(UTC)))) == 200
