"""Read by gunicorn when started in this folder: gunicorn 'app:create_app()' --workers <cores> --bind 127.0.0.1:8080

The application is loaded before the workers are forked, so that they share its memory (frozen for the collector by
app.py) and a wrong setting ends gunicorn itself with code 2, rather than one worker after the other.

Workers are not replaced after a number of calls (`max_requests`): one that ends while the store is down loses the
records that wait in it. Addresses, the number of workers and anything else are set on the command line.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.util import write_error
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client.multiprocess import mark_process_dead


class WordlessWorker(ThreadWorker):
    """gunicorn repeats what is no HTTP in its log and its answer: a token or a patient may stand there."""

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        is_theirs = isinstance(exc, ParseException)
        line = {"event": "no HTTP" if is_theirs else "fault", "error": type(exc).__name__}
        (self.log.warning if is_theirs else self.log.error)(json.dumps(line))
        try:
            write_error(client, *((400, "Bad Request", "") if is_theirs else (500, "Internal Server Error", "")))
        except OSError:
            return


class WordlessLog(Logger):
    """At the level `debug` gunicorn would log each address as it was called."""

    def debug(self, msg: str, *_: Any, **__: Any) -> None:
        super().debug("%s", msg)


preload_app = True
logger_class = WordlessLog
worker_class = WordlessWorker
threads = 4
timeout = 60  # a worker whose main loop stands still; a call's own limits are far below

# SIGTERM: no new connections; calls in flight are answered, then waiting records are written (3 s at most).
graceful_timeout = 30

# Longer than a proxy keeps an idle connection, so that it is the proxy that closes it, never with a call on its way.
keepalive = 75

# A token has at most 16,384 characters. Of our addresses only those of a SMART launch are long: they carry what an EHR
# and its authorization server put there (`launch`, `code`).
limit_request_line = 8_190
limit_request_fields = 64
limit_request_field_size = 20_480

# Heartbeats of the workers are writes to a file: in memory, where a slow disk cannot make a worker look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes its names itself

accesslog = None  # app.py logs each call itself, without addresses
forwarded_allow_ips = "127.0.0.1,::1"
control_socket_disable = True  # else gunicorn makes a socket under $HOME, by which it can be told to do things


def child_exit(_server: object, worker: Any) -> None:
    """Takes an ended worker out of the metrics; what it has counted stays."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(worker.pid)
