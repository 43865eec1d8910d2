"""What one order-sign call costs: median and slowest CPU milliseconds, in process, with about 200 KB of prefetch.

    .venv/bin/python bench/order_sign.py [CALLS]

The target is a median under 10 ms. Absolute times depend on the machine; compare on one machine, before and after.
"""

from __future__ import annotations

import copy
import gc
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app import build  # noqa: E402 - the checkout is not installed
from cds_service.settings import read_settings  # noqa: E402

EXAMPLE = ROOT / "examples" / "order-sign-late-second-dose.json"
BYTES = 200_000


def a_large_call() -> bytes:
    """The README's example with the laboratory results of a long illness, as an EHR would prefetch them."""
    call: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    results = call["prefetch"]["laboratory"]["entry"]
    templates = copy.deepcopy(results)
    number = 0
    while len(json.dumps(call)) < BYTES:
        for template in templates:
            entry = copy.deepcopy(template)
            entry["resource"]["id"] += f"-{number}"
            entry["resource"]["effectiveDateTime"] = f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}T08:10:00Z"
            results.append(entry)
            number += 1
    return json.dumps(call).encode()


def main(calls: int) -> None:
    client = build(read_settings({"CDS_NOW": "2026-01-20T09:00:00Z"})).test_client()
    body = a_large_call()

    def call() -> float:
        started = time.process_time()
        response = client.post("/cds-services/tarlatamab-order-sign", data=body, content_type="application/json")
        spent = (time.process_time() - started) * 1000
        if response.status_code != 200 or not response.json or not response.json["cards"]:
            raise SystemExit(f"the call was answered with {response.status_code} and no cards")
        return spent

    for _ in range(10):
        call()
    gc.collect()
    gc.freeze()
    spent = sorted(call() for _ in range(calls))
    print(
        f"{len(body) / 1000:.0f} KB, {calls} calls: "
        f"median {statistics.median(spent):.1f} ms CPU, p99 {spent[int(calls * 0.99) - 1]:.1f} ms "
        "(target: median under 10 ms)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
