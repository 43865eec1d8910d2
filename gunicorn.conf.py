"""Read by gunicorn when started in this folder: gunicorn 'app:create_app()' --workers <cores> --bind 0.0.0.0:8080

The application is loaded before the workers are forked, so that they share its memory and a wrong setting ends
gunicorn itself with code 2, rather than one worker after the other.
"""

import json
import socket
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.util import write_error
from gunicorn.workers.gthread import ThreadWorker


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
timeout = 60
