"""The page behind the nginx of `deploy/`, on the same machine: its callers come from the loopback, and see nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from tests.scale_out.trial import CERTIFICATE, Machine, nginx, nginx_program


def test_nobody_passes_for_the_machine_through_its_own_nginx(tmp_path: Path) -> None:
    if nginx_program() is None and not os.environ.get("CI"):
        pytest.skip("NOT TESTED: the quality page behind nginx (apt install nginx-light)")
    machine = Machine(f"sqlite:///{tmp_path / 'cds.sqlite3'}", tmp_path / "log")
    try:
        machine.start()
        with nginx([machine, machine], tmp_path / "nginx") as base:
            for host in (
                "cds.example",
                "localhost",
                "127.0.0.1",
                f"127.0.0.1:{machine.port}",
                f"localhost:{machine.port}",
            ):
                answer = requests.get(f"{base}/quality", headers={"Host": host}, verify=CERTIFICATE, timeout=20)
                assert answer.status_code == 401
                assert answer.json()["issue"][0]["code"] == "login"
            assert requests.get(f"{base}/static/quality.css", verify=CERTIFICATE, timeout=20).status_code == 200
        assert requests.get(f"{machine.base}/quality", timeout=20).status_code == 200
    finally:
        machine.kill()
