"""The bill of materials and the licences are those of the lock; a licence that nobody has judged fails."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.supply_chain.pages import LICENCES, LOCK, SBOM, as_json, as_markdown, licence, locked, plain, tidied

REQUIREMENTS = LOCK.parent

JUDGED = {
    "Apache-2.0",
    "Apache-2.0 AND BSD-2-Clause",
    "Apache-2.0 OR BSD-3-Clause",
    "BSD",
    "BSD-3-Clause",
    "LGPL-3.0-only",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
}
"""Licences that go together with Apache-2.0 in one service."""


def bill() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(SBOM.read_text(encoding="utf-8"))
    return read


def test_the_bill_of_materials_holds_the_packages_of_the_lock_in_their_versions() -> None:
    listed = {plain(part["name"]): part["version"] for part in bill()["components"]}
    assert listed == locked(LOCK.read_text(encoding="utf-8"))
    assert len(listed) > 20


def test_it_is_the_same_at_every_time_and_names_no_place_on_the_web_or_on_a_machine() -> None:
    text = SBOM.read_text(encoding="utf-8")
    assert text == as_json(tidied(bill()))
    assert not {"serialNumber"} & bill().keys()
    assert "timestamp" not in bill()["metadata"]
    assert not re.search(r"https?://(?!cyclonedx\.org/schema/)|file:|/(?:home|root|tmp)/", text)


def test_each_component_has_its_package_url_and_says_what_it_needs() -> None:
    found = bill()
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    for part in found["components"]:
        assert part["purl"] == f"pkg:pypi/{part['purl'].split('/', 1)[1]}"
        assert part["purl"].endswith(f"@{part['version']}")
    known = {part["bom-ref"] for part in found["components"]}
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in found["dependencies"]}
    assert known <= needs.keys()
    assert set().union(*needs.values()) <= known
    assert {plain(ref.partition("==")[0]) for ref in needs["root-component"]} >= {"flask", "gunicorn", "pydantic"}


def test_the_page_of_licences_is_that_of_the_bill() -> None:
    assert LICENCES.read_text(encoding="utf-8") == as_markdown(bill())


@pytest.mark.parametrize("part", bill()["components"], ids=lambda part: str(part["name"]))
def test_every_package_declares_a_licence_that_somebody_has_judged(part: dict[str, Any]) -> None:
    assert licence(part) in JUDGED


@pytest.mark.parametrize("lock", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_package_of_every_lock_has_a_version_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z])", text)
    assert len(blocks) > 5
    for block in blocks:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]
    assert "://" not in re.sub(r"#.*", "", text)


def test_a_package_whose_licence_is_not_known_has_none() -> None:
    assert licence({}) == ""
    assert licence({"licenses": [{"license": {"name": "License :: Other/Proprietary License"}}]}) == ""
