"""The example of docs/operations.md, section Security, run as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.test_bootstrap_app import ROOT, serving

OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BLOCKS: Final = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", OPERATIONS, re.DOTALL))
NEEDED: Final = ("openssl", "curl", "sh")


def run(folder: Path, *command: str) -> str:
    ran = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason="needs openssl, curl and a shell")
def test_the_documented_commands_make_keys_register_a_client_and_get_cards(tmp_path: Path) -> None:
    for name in ("register.py", "sign_call.py"):
        (tmp_path / name).write_text(BLOCKS[name], encoding="utf-8")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    run(tmp_path, "sh", "-ec", BLOCKS["keys"])
    run(tmp_path, sys.executable, "register.py")
    said = re.search(r"starts with `(CDS_MODE=production .*?)`", OPERATIONS, re.DOTALL)
    assert said is not None
    settings = _settings(said[1])
    settings["CDS_CLIENTS"] = str(tmp_path / settings["CDS_CLIENTS"])
    with serving(**settings) as (base, _):
        here = BLOCKS["call"].replace("https://cds.example/", f"{base}/")
        answer = json.loads(run(tmp_path, "sh", "-ec", here))
        assert answer["cards"]
        unsigned = here.replace("$(python sign_call.py)", "x")
        assert json.loads(run(tmp_path, "sh", "-ec", unsigned))["resourceType"] == "OperationOutcome"


def _settings(said: str) -> dict[str, str]:
    return {name: quoted or plain for name, quoted, plain in re.findall(r"(CDS_\w+)=(?:'([^']*)'|(\S+))", said)}
