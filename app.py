"""Where everything meets: settings → knowledge, FHIR reader → services → web. The only reader of the environment.

Production servers call the factory: `gunicorn 'app:create_app()'`. `python app.py` serves on one machine with a
threaded server that needs no configuration, starts in the calling process and can take any free port.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from cds_service import clients as client_profiles
from cds_service import fhir_knowledge, quality_page, sealed, services, smart_page, smart_registrations, web
from cds_service.client_auth import Doorkeeper, ProcessMemory
from cds_service.clients import ANYBODY, Caller, Client
from cds_service.demonstration import patients
from cds_service.demonstration_page import Demonstration
from cds_service.engine.rulebook import Rulebook
from cds_service.errors import KnowledgeError, ServiceError, SettingError, StoreUnavailable
from cds_service.fhir_address import (
    AddressRule,
    base_of,
    demonstration_rule,
    listed_demonstration_rule,
    production_rule,
)
from cds_service.fhir_client import FhirClient, key_fetcher, seconds
from cds_service.jwks import KeyShelf
from cds_service.knowledge import loader, sign_off
from cds_service.knowledge.regimen import Regimen
from cds_service.metrics import Metrics
from cds_service.openapi import VERSION
from cds_service.pages import root_of
from cds_service.readiness import Readiness
from cds_service.recorder import Recorder
from cds_service.settings import Settings, read_settings
from cds_service.smart import SmartClient
from cds_service.smart_cookies import LaunchCookies
from cds_service.smart_registrations import AppLinks, Issuer
from cds_service.store import Store

WRONG_SETTING = 2
LOCAL_URL = "http://127.0.0.1:8080"
"""Where `python app.py` serves by default."""


class _Connection(WSGIRequestHandler):
    """One client connection; a client that goes quiet does not hold its thread for ever."""

    timeout = 60
    error_content_type = "text/plain"
    error_message_format = "%(code)d\n"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing, and without reading the address for it."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - as werkzeug calls it
        """Nothing: web.py logs each call itself, without addresses."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what is no HTTP without repeating it: the request line may name a patient."""
        super().send_error(code)

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except ValueError:  # an address that is none; werkzeug would print a trace with it
            self.send_error(400)


class TimedLine(logging.Formatter):
    """Our lines are JSON objects: each begins with the moment at which it was written, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return f'{{"time":"{at.removesuffix("+00:00")}Z",{super().format(record).removeprefix("{")}'


def log_lines_to_stderr() -> None:
    """Send our own lines, which are JSON already, to stderr with the time."""
    log = logging.getLogger("cds_service")
    if not log.handlers:
        lines = logging.StreamHandler()
        lines.setFormatter(TimedLine())
        log.addHandler(lines)
        log.setLevel(logging.INFO)
        log.propagate = False
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # it would log the text of an error, and addresses
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # what the store cannot do, we say ourselves, as JSON


def knowledge_for(settings: Settings) -> Regimen:
    """The knowledge in force; outside a demonstration only if every row is reviewed or somebody answers for it.

    Raises: SettingError.
    """
    try:
        regimen = loader.load(settings.knowledge, settings.sources)
    except KnowledgeError as error:
        raise SettingError(f"CDS_KNOWLEDGE takes a valid knowledge file: {error}") from None
    if not settings.is_demo:
        try:
            sign_off.require_answer_for(regimen, settings.accept_unreviewed or "")
        except KnowledgeError as error:
            raise SettingError(f"CDS_ACCEPT_UNREVIEWED is not set: {error}") from None
    return regimen


def clients_of(settings: Settings) -> tuple[Client, ...]:
    """The registered clients; none where a demonstration is open to everybody. Raises: SettingError."""
    return client_profiles.load(settings.clients, demo=settings.is_demo) if settings.clients else ()


def build(
    settings: Settings,
    caller: Caller = ANYBODY,
    *,
    store: Store | None = None,
    metrics_of_all_processes: bool = False,
) -> Flask:
    """The application for these settings. Without client profiles it answers everybody as it would this `caller`.

    Without a `store` it keeps no records and takes no feedback. Raises: SettingError.
    """
    regimen, clients = knowledge_for(settings), clients_of(settings)
    issuers = smart_registrations.load(settings.smart, demo=settings.is_demo) if settings.smart else ()
    counters = Metrics(shared=metrics_of_all_processes)
    counters.runs(version=VERSION, knowledge=regimen.version)
    try:
        review = services.DrugReview(
            rulebook=Rulebook(regimen),
            fhir=FhirClient(
                budget_ms=settings.fhir_budget_ms, may_connect=address_rule(settings), observe=counters.read
            ),
            zone=settings.timezone,
            clock=services.clock(settings.now),
            caller=caller,
            app=app_links(issuers, settings) if issuers else None,
        )
        offers = services.offers(review)
        entries = tuple(offer.entry for offer in offers)
        knowledge = services.knowledge_of(regimen, settings.accept_unreviewed or "", entries)
        if settings.knowledge is not None:  # a file of their own
            fhir_knowledge.require_valid(knowledge.fhir)
    except KnowledgeError as error:
        raise SettingError(f"CDS_KNOWLEDGE takes a valid knowledge file: {error}") from None
    audience = {"audience": f"{public_url(settings)}/cds-services"} if clients else {}
    logging.getLogger("cds_service").info(msgspec.json.encode({**knowledge.start_line, **audience}).decode())
    door = doorkeeper_of(clients, settings, store) if clients else None
    return web.create_web(
        offers,
        knowledge=knowledge,
        max_body_bytes=settings.max_body_bytes,
        recorder=Recorder(store, on_loss=counters.lost) if store else None,
        counters=counters,
        access=access_of(clients, review, door) if door else None,
        is_ready=Readiness(store.check, clock=services.milliseconds) if store else lambda: True,
        quality=quality_of(store, regimen, offers, clients, door) if store else None,
        root=root_of(settings.public_url or ""),
        shown=demonstration_of(settings) if settings.is_demo else None,
        app=smart_app(issuers, clients, review, settings, store) if issuers else None,
    )


def app_links(issuers: Sequence[Issuer], settings: Settings) -> AppLinks:
    """Where cards lead: the launch address of the SMART app, for the FHIR servers where it is registered."""
    return AppLinks(
        launch_url=f"{public_url(settings)}{smart_page.LAUNCH}", issuers=tuple(one.registered.iss for one in issuers)
    )


def smart_app(
    issuers: tuple[Issuer, ...],
    clients: Sequence[Client],
    review: services.DrugReview,
    settings: Settings,
    store: Store | None,
) -> smart_page.SmartApp:
    """The SMART app. It counts days as the cards of the client do that has the same FHIR server."""
    return smart_page.SmartApp(
        client=SmartClient(
            redirect_uri=f"{public_url(settings)}{smart_page.REDIRECT}",
            may_connect=address_rule(settings),
            now=services.now,
        ),
        issuers=issuers,
        reviews={
            one.registered.iss: smart_page.for_issuer(review, one.registered.iss, zone_of(one.registered.iss, clients))
            for one in issuers
        },
        cookies=LaunchCookies(
            seal=sealed.Seal(sealed.keys_in(settings.key_file), now=services.now),
            root=root_of(settings.public_url or ""),
            is_encrypted=public_url(settings).startswith("https://"),
        ),
        remember=(store or ProcessMemory()).is_new_token,
        now=services.now,
        root=root_of(settings.public_url or ""),
    )


def zone_of(iss: str, clients: Sequence[Client]) -> ZoneInfo | None:
    """The zone of the first client with this FHIR server that has one of its own."""
    base = base_of(iss)
    return next((one.timezone for one in clients if one.timezone and base in map(base_of, one.fhir_servers)), None)


def public_url(settings: Settings) -> str:
    """Where the service is reached, without a slash at the end."""
    return (settings.public_url or LOCAL_URL).rstrip("/")


def demonstration_of(settings: Settings) -> Demonstration:
    """The test bench with its patients."""
    return Demonstration(
        patients=patients.load(),
        clock=services.clock(settings.now),
        zone=settings.timezone,
        root=root_of(settings.public_url or ""),
        needs_token=settings.clients is not None,
    )


def address_rule(settings: Settings) -> AddressRule:
    """Where this service may connect to at all; a client's profile says which FHIR servers are asked for it."""
    if not settings.is_demo:
        return production_rule
    return listed_demonstration_rule if settings.clients else demonstration_rule


def doorkeeper_of(clients: Sequence[Client], settings: Settings, store: Store | None) -> Doorkeeper:
    """Who lets in the registered clients, and nobody twice with one token."""
    shelf = KeyShelf(clients, fetch=key_fetcher(address_rule(settings)), clock=seconds)
    return Doorkeeper(
        clients,
        public_url=settings.public_url or LOCAL_URL,
        keys=shelf.keys,
        remember=(store or ProcessMemory()).is_new_token,
        now=services.now,
        strict=not settings.is_demo,
    )


def access_of(clients: Sequence[Client], review: services.DrugReview, door: Doorkeeper) -> web.Access:
    """The door that lets in the registered clients, each to answers as it understands them."""
    return web.Access(
        name_of=door.name_of,
        recognises=door.recognises,
        offers={
            client.name: {offer.entry.id: offer for offer in services.offers(replace(review, caller=client.caller))}
            for client in clients
        },
        origins=frozenset(origin for client in clients for origin in client.cors_origins),
    )


def quality_of(
    store: Store,
    regimen: Regimen,
    offers: Sequence[services.Offer],
    clients: Sequence[Client],
    door: Doorkeeper | None,
) -> quality_page.Quality:
    """What the quality page reads: the store's figures, with the override reasons that this knowledge offers."""
    offered = {
        (row.text("system"), row.text("code")): row.say["label"] for row in regimen.table("override_reasons").rows
    }
    return quality_page.Quality(
        count=lambda asked: store.quality(asked, offered.keys()),
        name_of=(lambda authorization: door.name_at(authorization, quality_page.ADDRESS)) if door else None,
        services=tuple((offer.entry.id, offer.entry.hook) for offer in offers),
        reasons={code: words for (_, code), words in offered.items()},
        clients=tuple(client.name for client in clients),
        now=services.now,
    )


def opened(store: Store) -> Store:
    """The store with its tables. One that cannot be had now is told, and tried again: advice does not depend on it."""
    try:
        store.open()
    except StoreUnavailable as error:
        line = {"event": "store", "state": "unavailable", "error": str(error)}
        logging.getLogger("cds_service").error(msgspec.json.encode(line).decode())
    return store


def create_app(url: str = LOCAL_URL) -> Flask:
    """The application for this process's environment; a wrong setting ends the process with code 2 and one line.

    `url`: where it is reached if `CDS_PUBLIC_URL` does not say so.
    """
    log_lines_to_stderr()
    try:
        settings = read_settings(os.environ)
        settings = settings.model_copy(update={"public_url": settings.public_url or url})
        application = build(
            settings,
            store=opened(Store(settings.database_url)),
            metrics_of_all_processes="PROMETHEUS_MULTIPROC_DIR" in os.environ,
        )
    except ServiceError as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG_SETTING)
    spare_the_collector()
    return application


def spare_the_collector() -> None:
    """What stands now stays, and a call's own objects go by themselves: the collector need not walk them at every call.

    It was a tenth of the time of a large call, and most of the slowest ones (p99 24 ms → 4 ms).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def main(arguments: list[str]) -> None:
    """Serve until interrupted or told to end, and say where as soon as the port listens."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve tarlatamab-cds on this machine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8080, help="0 takes any free port")
    given = parser.parse_args(arguments)
    server = make_server(given.host, given.port, Flask("not ready"), threaded=True, request_handler=_Connection)
    host = f"[{given.host}]" if ":" in given.host else given.host
    url = f"http://{host}:{server.port}"
    server.app = create_app(url)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that waiting records are written
        print(f"CDS service ready: {url}/cds-services", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main(sys.argv[1:])
