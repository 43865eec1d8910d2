"""Where everything meets: settings → knowledge, FHIR reader → services → web. The only reader of the environment.

Production servers call the factory: `gunicorn 'app:create_app()'`. `python app.py` serves on one machine with a
threaded server that needs no configuration, starts in the calling process and can take any free port.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys

import msgspec
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from cds_service import services, web
from cds_service.cards import ANY_CLIENT
from cds_service.clients import Profile
from cds_service.engine.rulebook import Rulebook
from cds_service.errors import KnowledgeError, ServiceError, SettingError, StoreUnavailable
from cds_service.fhir_client import FhirClient
from cds_service.knowledge import loader, sign_off
from cds_service.knowledge.regimen import Regimen
from cds_service.metrics import Metrics
from cds_service.openapi import VERSION
from cds_service.readiness import Readiness
from cds_service.recorder import Recorder
from cds_service.settings import Settings, read_settings
from cds_service.store import Store

WRONG_SETTING = 2
DEMO = "demo"


class _Connection(WSGIRequestHandler):
    """One client connection; a client that goes quiet does not hold its thread for ever."""

    timeout = 60

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: web.py logs each call itself, without addresses."""


def log_lines_to_stderr() -> None:
    """Send our own lines, which are JSON already, to stderr as they are."""
    log = logging.getLogger("cds_service")
    if not log.handlers:
        lines = logging.StreamHandler()
        lines.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(lines)
        log.setLevel(logging.INFO)
        log.propagate = False


def knowledge_for(settings: Settings) -> Regimen:
    """The knowledge in force; outside a demonstration only if every row is reviewed or somebody answers for it.

    Raises: SettingError.
    """
    try:
        regimen = loader.load(settings.knowledge, settings.sources)
    except KnowledgeError as error:
        raise SettingError(f"CDS_KNOWLEDGE takes a valid knowledge file: {error}") from None
    if str(settings.mode) != DEMO:
        try:
            sign_off.require_answer_for(regimen, settings.accept_unreviewed or "")
        except KnowledgeError as error:
            raise SettingError(f"CDS_ACCEPT_UNREVIEWED is not set: {error}") from None
    return regimen


def build(
    settings: Settings,
    profile: Profile = ANY_CLIENT,
    *,
    store: Store | None = None,
    metrics_of_all_processes: bool = False,
) -> Flask:
    """The application for these settings, answering as this client understands it.

    Without a `store` it keeps no records and takes no feedback. Raises: SettingError.
    """
    regimen = knowledge_for(settings)
    counters = Metrics(shared=metrics_of_all_processes)
    counters.runs(version=VERSION, knowledge=regimen.version)
    try:
        review = services.DrugReview(
            rulebook=Rulebook(regimen),
            fhir=FhirClient(budget_ms=settings.fhir_budget_ms, observe=counters.read),
            zone=settings.timezone,
            clock=services.clock(settings.now),
            profile=profile,
        )
        offers = services.offers(review)
        entries = tuple(offer.entry for offer in offers)
        knowledge = services.knowledge_of(regimen, settings.accept_unreviewed or "", entries)
    except KnowledgeError as error:
        raise SettingError(f"CDS_KNOWLEDGE takes a valid knowledge file: {error}") from None
    logging.getLogger("cds_service").info(msgspec.json.encode(knowledge.start_line).decode())
    return web.create_web(
        offers,
        knowledge=knowledge,
        max_body_bytes=settings.max_body_bytes,
        recorder=Recorder(store, on_loss=counters.lost) if store else None,
        counters=counters,
        is_ready=Readiness(store.open, clock=services.milliseconds) if store else lambda: True,
    )


def opened(store: Store) -> Store:
    """The store with its tables. One that cannot be had now is told, and tried again: advice does not depend on it."""
    try:
        store.open()
    except StoreUnavailable as error:
        line = {"event": "store", "state": "unavailable", "error": str(error)}
        logging.getLogger("cds_service").error(msgspec.json.encode(line).decode())
    return store


def create_app() -> Flask:
    """The application for this process's environment; a wrong setting ends the process with code 2 and one line."""
    log_lines_to_stderr()
    try:
        settings = read_settings(os.environ)
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
    """Serve until interrupted, and say where as soon as the port listens."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve tarlatamab-cds on this machine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8080, help="0 takes any free port")
    given = parser.parse_args(arguments)
    application = create_app()
    server = make_server(given.host, given.port, application, threaded=True, request_handler=_Connection)
    host = f"[{given.host}]" if ":" in given.host else given.host
    print(f"CDS service ready: http://{host}:{server.port}/cds-services", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main(sys.argv[1:])
