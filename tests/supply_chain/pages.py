"""From what cyclonedx-py found to the two documents; the same lock gives the same bytes. Standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
LOCK: Final = ROOT / "requirements" / "runtime.txt"
SBOM: Final = ROOT / "docs" / "sbom.cdx.json"
LICENCES: Final = ROOT / "docs" / "licences.md"

CLASSIFIED: Final[Mapping[str, str]] = {
    "License :: OSI Approved :: BSD License": "BSD",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What a package says where it names no SPDX id."""

INTRODUCTION: Final = """\
# Licences of what the service needs to run
Made by `python3 dev.py sbom` from `requirements/runtime.txt`; as each package declares it. The service itself is
Apache-2.0. The same in CycloneDX 1.6, with who needs whom: `docs/sbom.cdx.json`. All hashes are in the lock.
Not listed: what wheels bundle (libpq and OpenSSL in psycopg-binary, OpenSSL in cryptography), and the tools of tests.

psycopg is LGPL-3.0: used as it is, as a library of its own that can be replaced. certifi is MPL-2.0: unchanged, too.
Who hands on an image hands on these packages, with their licence texts, which stand in each package's `dist-info`.

| package | version | licence |
|---|---|---|
"""


def locked(lock: str) -> dict[str, str]:
    """The version of each package in a lock."""
    return {plain(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE)}


def plain(name: str) -> str:
    """A package's name as every index and lock compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def tidied(found: Mapping[str, Any]) -> dict[str, Any]:
    """The bill without addresses on the web, which change without a change of what is installed."""
    bill = {name: _without_addresses(value) for name, value in found.items()}
    bill["components"] = sorted(bill["components"], key=lambda component: plain(component["name"]))
    return bill


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_addresses(item) for name, item in value.items() if name != "externalReferences"}
    return [_without_addresses(item) for item in value] if isinstance(value, list) else value


def licence(component: Mapping[str, Any]) -> str:
    """The licence that a component declares, by its SPDX id or expression if there is one; "" if it declares none."""
    declared = component.get("licenses", [])
    names = [entry.get("expression") or entry["license"].get("id") for entry in declared]
    classified = [
        CLASSIFIED.get(entry["license"]["name"], "") for entry in declared if "name" in entry.get("license", {})
    ]
    return next((name for name in [*names, *classified] if name), "")


def as_json(bill: Mapping[str, Any]) -> str:
    return json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def as_markdown(bill: Mapping[str, Any]) -> str:
    """The table of licences."""
    rows = [f"| {part['name']} | {part['version']} | {licence(part)} |\n" for part in bill["components"]]
    return INTRODUCTION + "".join(rows)


def write(found: Path) -> None:
    """Both documents, from the file that cyclonedx-py has written."""
    bill = tidied(json.loads(found.read_text(encoding="utf-8")))
    SBOM.write_text(as_json(bill), encoding="utf-8")
    LICENCES.write_text(as_markdown(bill), encoding="utf-8")
