"""`/quality`: how cards are received, what calls get and how fast, to look at and as CSV.

A client sees its own figures, with a token for this page; whoever sits at the machine itself sees those of all. Nobody
else sees any. Nothing here names a patient: of what clinicians wrote only the number is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec
from flask import Blueprint, Response, g, request

from cds_service import quality_plots
from cds_service.errors import Mistake, NotAuthenticated, Refusal, RequestError
from cds_service.limits import CallsAtOnce
from cds_service.loopback import asks_here
from cds_service.pages import HTML, page
from cds_service.quality import Asked, Counted, Figures, Outcomes, Row, Step

ADDRESS: Final = "/quality"
CSV_OF_ROWS: Final = "/quality.csv"
CSV_OF_REASONS: Final = "/quality-reasons.csv"
CSV: Final = "text/csv; charset=utf-8"

PERIODS: Final = (7, 30, 90)
"""Days up to now that the page offers; the second is the one that it opens with."""

LONGEST_PERIOD: Final = 366
ROWS_PLOTTED: Final = 24
REASONS_LISTED: Final = 5
"""Of each row; the CSV has all of them."""

READERS_AT_ONCE: Final = 1
"""Of the figures, in each process: a month takes the database seconds, and orders need its connections, too."""

Answering: TypeAlias = Callable[[Callable[[], Response]], Response]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What the page needs of the service.

    `count`: what the store has of a period. `name_of`: Authorization header → the client's name; raises
    NotAuthenticated; None where no clients are registered. `services`: (id, hook). `reasons`: the words of the override
    reasons that this service offers, by code.
    """

    count: Callable[[Asked], Counted]
    name_of: Callable[[str | None], str] | None
    services: tuple[tuple[str, str], ...]
    reasons: Mapping[str, str]
    clients: tuple[str, ...]
    now: Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who looks: a client by its name, or (None) whoever sits at the machine."""

    client: str | None


def parts(quality: Quality, *, answered: Answering) -> Blueprint:
    """The addresses of the page. `answered` makes an answer of every failure, as all of the service's."""
    parts = Blueprint("quality", __name__)
    open_now = CallsAtOnce(READERS_AT_ONCE)

    def figures(reader: Reader) -> Figures:
        asked = asked_for(request.args, quality, reader)
        with open_now.one_of(""):
            counted = quality.count(asked)
        if asked.client not in {None, "", reader.client, *quality.clients, *counted.clients}:
            raise RequestError(
                Mistake(path="client", what="must be a registered client, or one with calls in this period")
            )
        return Figures(asked, counted, quality.reasons)

    @parts.get(ADDRESS)
    def look() -> Response:
        def shown() -> Response:
            reader = reader_of(quality)
            return page("quality.html", here=ADDRESS, **_shown(figures(reader), quality, reader))

        return _for_people(answered(shown))

    @parts.get(CSV_OF_ROWS)
    def rows() -> Response:
        return answered(lambda: _download(figures(reader_of(quality)), "rows", Figures.rows_as_csv))

    @parts.get(CSV_OF_REASONS)
    def reasons() -> Response:
        return answered(lambda: _download(figures(reader_of(quality)), "reasons", Figures.reasons_as_csv))

    @parts.after_request
    def kept_here(response: Response) -> Response:
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    return parts


def reader_of(quality: Quality) -> Reader:
    """Who asks. Raises: NotAuthenticated; StoreUnavailable where nobody knows whether the token was used before."""
    authorization = request.headers.get("Authorization")
    if authorization is not None and quality.name_of is not None:
        g.reader = quality.name_of(authorization)
        return Reader(client=g.reader)
    if not asks_here(
        peer=request.remote_addr or "",
        host=request.headers.get("Host", ""),
        scheme=request.scheme,
        port=request.environ["SERVER_PORT"],
        origin=request.headers.get("Origin"),
        names=request.headers.keys(),
    ):
        raise NotAuthenticated(Refusal.NO_TOKEN)
    return Reader(client=None)


# --- what is asked for ---------------------------------------------------------------------------------------------


def asked_for(given: Mapping[str, str], quality: Quality, reader: Reader) -> Asked:
    """The period and the filter of the form. A client has no choice but itself. Raises: RequestError."""
    since, until = _period(given, quality.now().date())
    service = given.get("service", "")
    if service and service not in dict(quality.services):
        raise RequestError(Mistake(path="service", what="must be the id of a service of the discovery"))
    if reader.client is not None:
        client: str | None = reader.client
    else:
        chosen = given.get("client", "*")
        if "\0" in chosen:  # PostgreSQL takes none in a text
            raise RequestError(Mistake(path="client", what="must be the name of a client"))
        client = None if chosen == "*" else chosen
    return Asked(since=since, until=until, service=service, client=client)


def _period(given: Mapping[str, str], today: date) -> tuple[date, date]:
    """From one day to another where one of them is given, else so many days up to now."""
    if not (given.get("from") or given.get("to")):
        days = given.get("days", str(PERIODS[1]))
        if days not in map(str, PERIODS):
            raise RequestError(Mistake(path="days", what=f"must be one of {', '.join(map(str, PERIODS))}"))
        return today - timedelta(days=int(days) - 1), today
    since, until = (_day(given.get(name, ""), name) for name in ("from", "to"))
    if not 0 <= (until - since).days < LONGEST_PERIOD:
        raise RequestError(Mistake(path="to", what=f"must be no earlier than from, and within {LONGEST_PERIOD} days"))
    return since, until


def _day(text: str, name: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not 1900 <= found.year <= 2200:
        raise RequestError(Mistake(path=name, what="must be a day such as 2026-01-20"))
    return found


# --- what is shown -------------------------------------------------------------------------------------------------


def _shown(figures: Figures, quality: Quality, reader: Reader) -> Mapping[str, Any]:
    asked = figures.asked
    return {
        **({"root": ""} if reader.client is None else {}),  # whoever sits here comes through no proxy
        "figures": figures,
        "asked": asked,
        "query": {"from": str(asked.since), "to": str(asked.until), **_filter(asked, reader)},
        "filter": _filter(asked, reader),
        "days_up_to_now": asked.days if asked.until == quality.now().date() else None,
        "services": quality.services,
        "clients": sorted({*quality.clients, *figures.counted.clients}),
        "is_at_the_machine": reader.client is None,
        "periods": PERIODS,
        "reasons_listed": REASONS_LISTED,
        "unit": "day" if len(figures.steps) == asked.days else "week",
        "calls_plot": _plot_of_calls(figures),
        "latency_plot": _plot_of_latency(figures),
        "row_plots": [(row, _plot_of_row(row, figures.steps)) for row in _plotted(figures.rows)],
    }


def _filter(asked: Asked, reader: Reader) -> Mapping[str, str]:
    """The choice of hook and client, for addresses that keep it."""
    chosen = {"service": asked.service} if asked.service else {}
    return chosen | ({"client": asked.client} if reader.client is None and asked.client is not None else {})


def _plotted(rows: Sequence[Row]) -> Sequence[Row]:
    """Those with the most cards, in the order of the table."""
    most = sorted(rows, key=lambda row: -row.whole.shown)[:ROWS_PLOTTED]
    return [row for row in rows if row in most]


def _names(steps: Sequence[Step]) -> Sequence[str]:
    return [f"{step.first:%d %b}" for step in steps]


def _plot_of_calls(figures: Figures) -> quality_plots.Plot:
    calls = figures.calls_by_step
    series = (
        ("unknowns", [unknown for _, unknown in calls]),
        ("read", [number - unknown for number, unknown in calls]),
    )
    return quality_plots.stacked(series, _names(figures.steps), width=640, height=190)


def _plot_of_latency(figures: Figures) -> quality_plots.Plot:
    series = (
        ("p50", [step.p50 for step in figures.latency_by_step]),
        ("p95", [step.p95 for step in figures.latency_by_step]),
    )
    return quality_plots.lines(series, _names(figures.steps), width=640, height=190)


def _plot_of_row(row: Row, steps: Sequence[Step]) -> quality_plots.Plot:
    def values(what: Callable[[Outcomes], int]) -> Sequence[int]:
        return [what(step) for step in row.steps]

    series = (
        ("accepted", values(lambda step: step.accepted)),
        ("overridden", values(lambda step: step.overridden)),
        ("none", values(lambda step: step.no_answer)),
    )
    return quality_plots.stacked(series, _names(steps), width=360, height=130)


def _download(figures: Figures, what: str, written: Callable[[Figures], str]) -> Response:
    name = f"tarlatamab-cds-{what}-{figures.asked.since}-{figures.asked.until}.csv"
    return Response(
        written(figures), content_type=CSV, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _for_people(response: Response) -> Response:
    """A refusal as a page for whoever wants one, with the same status and the same words."""
    wanted = request.accept_mimetypes.best_match(("application/json", HTML), default="application/json")
    if response.status_code == 200 or wanted != HTML:
        return response
    issues = msgspec.json.decode(response.data)["issue"]
    shown = page(
        "quality_refusal.html",
        here=ADDRESS,
        status=response.status_code,
        words=[issue["diagnostics"] for issue in issues],
    )
    shown.status_code = response.status_code
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return shown
