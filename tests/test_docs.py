"""The documents say what the code does: settings, services, prefetch, paths, and the card that the README shows.

`.venv/bin/python -m tests.test_docs` puts the card that comes out today into the README.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app import build
from cds_service.feedback import MISTAKES
from cds_service.metrics import Metrics
from cds_service.settings import TAKES, Settings, read_settings
from tests.auth.hospital import hospital

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
EXAMPLE = ROOT / "examples" / "order-sign-late-second-dose.json"
BLOCK = re.compile(r"(<!-- card: [^\n]*-->\n)(.*?)(<!-- end of card -->)", re.DOTALL)


def answer_to(example: Path, **environment: str) -> list[dict[str, Any]]:
    """The cards that an example request gets on the day it was written for."""
    client = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"} | environment)).test_client()
    call = json.loads(example.read_text(encoding="utf-8"))
    response = client.post(f"/cds-services/tarlatamab-{call['hook']}", json=call)
    assert response.status_code == 200
    assert response.json is not None
    cards: list[dict[str, Any]] = response.json["cards"]
    return cards


def as_shown(card: dict[str, Any]) -> str:
    """A card as an EHR would show it, in Markdown."""
    shown = [f"**{card['indicator'].upper()} · {card['summary']}**", "", *card["detail"].splitlines(), ""]
    shown.append(f"Source: [{card['source']['label']}]({card['source']['url']})")
    return "\n" + "".join(f"> {line}".rstrip() + "\n" for line in shown) + "\n"


def test_the_card_in_the_readme_is_the_one_that_comes_back() -> None:
    block = BLOCK.search(README.read_text(encoding="utf-8"))
    assert block is not None
    assert block[2] == as_shown(answer_to(EXAMPLE)[0])


def test_the_readmes_example_asks_for_a_restart_on_any_later_day() -> None:
    for now in ("2026-01-20T00:00:00Z", "2026-11-25T09:00:00Z", "2031-06-01T09:00:00Z"):
        first = answer_to(EXAMPLE, CDS_NOW=now)[0]
        advice = first["extension"]["org.tarlatamab-cds.advice"]
        assert (advice["topic"], advice["action"], first["indicator"]) == ("dose", "restart-step-up", "critical")
        assert advice["rows"][0] == "R2"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: path.stem)
def test_every_example_gets_cards(example: Path) -> None:
    assert answer_to(example)


def test_the_readme_lists_every_setting_with_its_default_and_no_other() -> None:
    table = dict(re.findall(r"^\| `(CDS_\w+)` \| (.+?) \|", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert table.keys() == TAKES.keys()
    for field in Settings.model_fields.values():
        assert field.alias is not None
        default = field.default
        shown = getattr(default, "key", None) or getattr(default, "value", default)
        expected = "packaged `tarlatamab.yaml`" if field.alias == "CDS_KNOWLEDGE" else f"`{shown}`"
        assert table[field.alias] == ("none" if default is None and field.alias != "CDS_KNOWLEDGE" else expected)


@pytest.mark.conforms("C19")
def test_the_documents_name_every_setting_service_and_prefetch_template_of_the_code() -> None:
    services = build(read_settings({})).test_client().get("/cds-services").json
    assert services is not None
    readme, operations = README.read_text(encoding="utf-8"), OPERATIONS.read_text(encoding="utf-8")
    for service in services["services"]:
        assert f"| `{service['id']}` | {service['hook']} |" in readme
        for key, template in service["prefetch"].items():
            shown = re.sub(r"code=.*", "code=…", template)
            assert f"| `{key}` | `{shown}`" in operations


def test_the_documents_name_every_metric_and_every_kind_of_mistake() -> None:
    text, operations = Metrics().text().decode(), OPERATIONS.read_text(encoding="utf-8")
    for name in set(re.findall(r"^# TYPE (\S+)(?<!_created) (?:counter|histogram|gauge)$", text, re.MULTILINE)):
        assert f"| `{name}` |" in operations
    assert all(f"`{mistake}`" in operations for mistake in MISTAKES)


def test_an_alarm_stands_for_every_status_by_which_a_prescriber_gets_no_card(tmp_path: Path) -> None:
    described = hospital(tmp_path).get("/openapi.json").get_json()
    call = described["paths"]["/cds-services/tarlatamab-order-sign"]["post"]
    elsewhere = {"401", "404", "405"}  # by its reason in cds_auth_failures; no call of a service: in the proxy's log
    alarms = OPERATIONS.read_text(encoding="utf-8").split("\n## Alarms\n")[1].split("\n## ")[0]
    watched = {
        status
        for found in re.findall(r'cds_calls_total\{status=~?"(.+?)"', alarms)
        for status in re.findall(r"\d+", found)
    }
    assert watched == call["responses"].keys() - {"200"} - elsewhere


@pytest.mark.parametrize("document", [README, OPERATIONS], ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    linked = [document.parent / target for target in re.findall(r"\]\(([^)#:]+)\)", text)]
    named = re.findall(
        r"`((?:cds_service|fhir_mappings|tests|examples|bench|deploy|docs|requirements|\.ci)/[^`\s]*)`", text
    )
    for path in [*linked, *(ROOT / name for name in named)]:
        assert path.exists(), path


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    card = as_shown(answer_to(EXAMPLE)[0])
    README.write_text(BLOCK.sub(lambda block: block[1] + card + block[3], text), encoding="utf-8")
