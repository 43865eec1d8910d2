"""What people look at: pages rendered on the server, with scripts and styles of our own and nothing from elsewhere.

Every page goes out with a policy that lets the browser load only from here, so that no page can send a patient's data
to anybody else, and text of a record that were markup could do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, render_template, send_from_directory

HTML: Final = "text/html"
STATIC: Final = Path(__file__).with_name("static")

POLICY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

DEMONSTRATION: Final = "Demonstration with made-up patients. Not for the care of anybody."


def root_of(public_url: str) -> str:
    """The path under which the service is reached: "" or "/base"."""
    return urlsplit(public_url).path.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all pages have in common. `root` is the path under which the service is reached, "" or "/base"."""

    root: str = ""
    is_demo: bool = False
    has_quality: bool = False

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The pages that each page leads to: address and name. Outside a demonstration few may see the figures."""
        bench = (("/", "Test bench"),) if self.is_demo else ()
        quality = (("/quality", "Quality"),) if self.is_demo and self.has_quality else ()
        return (*bench, ("/knowledge", "Knowledge"), *quality)


def add_frame(web: Flask, frame: Frame) -> None:
    """Puts all pages of this application into the frame, and serves their styles and scripts."""
    web.extensions["pages"] = frame
    web.register_blueprint(parts())


def page(template: str, *, here: str = "", **shown: Any) -> Response:
    """A page of ours; `here` is its own address."""
    frame: Frame = current_app.extensions["pages"]
    notice = DEMONSTRATION if frame.is_demo else ""
    common = {"root": frame.root, "places": frame.places, "notice": notice, "here": here}
    return Response(render_template(template, **{**common, **shown}), mimetype=HTML, headers=dict(POLICY))


def knowledge(sheet: Mapping[str, Any]) -> Response:
    """The rules in force as a pharmacist reads them."""
    origins = sorted({row["origin"] for group in sheet["groups"] for table in group["tables"] for row in table["rows"]})
    return page("knowledge.html", here="/knowledge", sheet=sheet, origins=origins)


def parts() -> Blueprint:
    """The styles and scripts of the pages."""
    parts = Blueprint("parts", __name__)

    @parts.get("/static/<path:name>")
    def static(name: str) -> Response:
        return send_from_directory(STATIC, name)

    return parts
