"""Ports for servers that have to be told theirs before they start, or that come back at the one they had.

A port that the system gives away and takes back (port 0) may be given to somebody else's connection a moment later:
those are the ports of its range for outgoing connections. These lie below it, in a block for each process of the
tests, and a port that was given is not given again soon.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import threading
from pathlib import Path
from typing import Final

PORTS_A_PROCESS: Final = 250
PROCESSES: Final = 8
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_lock: Final = threading.Lock()
_tried: Final = itertools.count()


def first_given_away() -> int:
    """The lowest port that the system gives to outgoing connections."""
    try:
        return int(_RANGE.read_text(encoding="ascii").split()[0])
    except OSError:
        return 32_768  # of Linux; elsewhere they begin at 49,152


def free_port() -> int:
    """A port of the loopback that nobody listens at, and that no other caller is given meanwhile."""
    worker = re.search(r"\d+", os.environ.get("PYTEST_XDIST_WORKER", ""))
    block = int(worker[0]) % PROCESSES if worker else PROCESSES  # the last is for a process that runs alone
    first = max(first_given_away() - (block + 1) * PORTS_A_PROCESS, 1_024)
    with _lock:
        for number in itertools.islice(_tried, PORTS_A_PROCESS):
            # two runs of the tests at once begin at different places
            port = first + (number + os.getpid()) % PORTS_A_PROCESS
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: it may have been used
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
    raise OSError("no port is free for the tests")
