"""What people look at: pages rendered on the server, with scripts and styles of our own and nothing from elsewhere.

Every page goes out with a policy that lets the browser load only from here, so that no page can send a patient's data
to anybody else, and text of a record that were markup could do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, render_template, send_from_directory

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


def places(*, is_demo: bool) -> tuple[tuple[str, str], ...]:
    """The pages that each page leads to: address and name."""
    return ((("/", "Test bench"),) if is_demo else ()) + (("/knowledge", "Knowledge"),)


def page(template: str, *, root: str, here: str = "", places: Any = (), notice: str = "", **shown: Any) -> Response:
    """A page of ours. `root` is the path under which the service is reached ("" or "/base"), `here` the page's own.

    `places`: (address, name) of the pages that the head of each page leads to.
    """
    text = render_template(template, root=root, here=here, places=places, notice=notice, **shown)
    return Response(text, mimetype=HTML, headers=dict(POLICY))


def parts() -> Blueprint:
    """The styles and scripts of the pages."""
    parts = Blueprint("parts", __name__)

    @parts.get("/static/<path:name>")
    def static(name: str) -> Response:
        return send_from_directory(STATIC, name)

    return parts
