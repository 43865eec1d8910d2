"""python -m cds_service.replay BULK_DIR --out cards.parquet: what would have been shown, order by order.

Reads a FHIR Bulk Data export (NDJSON), asks the service about every order of the drug as it would have been asked on
that day, and writes one row for each card. Nothing is sent anywhere. docs/replay.md says how to read the result.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from cds_service.errors import ServiceError
from cds_service.knowledge import loader
from cds_service.knowledge.regimen import Sources
from cds_service.replay.export import READ

WRONG: Final = 2
INTERRUPTED: Final = 130
NEEDS: Final = ("duckdb", "tqdm")
INSTALL: Final = "the replay needs {}: pip install --require-hashes -r requirements/replay.txt"


def main(arguments: Sequence[str]) -> int:
    """0 when all is done; 2 and one line on stderr where it cannot be."""
    given = _arguments(arguments)
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        print(INSTALL.format(" and ".join(missing)), file=sys.stderr)
        return WRONG
    try:
        print(_replayed(given), end="")
    except ServiceError as error:
        print(error, file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cds_service.replay", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, metavar="BULK_DIR", help="the export: *.ndjson, *.ndjson.gz")
    parser.add_argument("--out", type=Path, required=True, help="the Parquet file; the report stands beside it as .md")
    parser.add_argument(
        "--timezone", type=_zone, default="UTC", help="the clinic's zone, as CDS_TIMEZONE (default: UTC)"
    )
    parser.add_argument("--knowledge", type=_file, help="the knowledge file (default: the packaged one)")
    parser.add_argument(
        "--against", type=_file, metavar="OLD.yaml", help="say which orders another version answers otherwise"
    )
    parser.add_argument("--sources", choices=[s.value for s in Sources], default=Sources.SEED_AND_LABEL.value)
    parser.add_argument(
        "--none", action="append", default=[], choices=sorted(READ), help="asked for, and there are none of it"
    )
    ids = parser.add_mutually_exclusive_group()
    ids.add_argument(
        "--salt", type=Path, metavar="FILE", help="a secret for pseudonyms that stay the same (default: new ones)"
    )
    ids.add_argument("--plain-ids", action="store_true", help="ids of patients and orders as they are")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask scheduler in place of processes")
    parser.add_argument("--memory", default="1GB", help="for sorting, in each process (default: 1GB)")
    parser.add_argument("--work", type=Path, help="folder for what is unfinished (default: OUT.work)")
    parser.add_argument(
        "--keep-work", action="store_true", help="keep it for the next question; it holds patients' data"
    )
    parser.add_argument("--patients-a-part", type=int, default=50, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, OSError, ValueError):
        raise argparse.ArgumentTypeError(f"{name} is no IANA time zone") from None


def _file(name: str) -> str:
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"{name}: no such file")
    return str(Path(name).resolve())


def _replayed(given: argparse.Namespace) -> str:
    """Do it all; the report."""
    from cds_service.replay import job, summary
    from cds_service.replay.evaluation import Question

    question = Question(
        zone=given.timezone,
        exported=frozenset(),
        salt=given.salt.read_bytes() if given.salt else None,
        sources=given.sources,
        knowledge=given.knowledge,
        against=given.against,
    )
    asked = job.Job(
        folder=given.folder,
        work=(given.work or given.out.with_name(f"{given.out.name}.work")).resolve(),
        question=question,
        processes=given.processes,
        memory=given.memory,
        scheduler=given.scheduler,
        none_of=frozenset(given.none),
        patients_a_shard=given.patients_a_part,
        pseudonyms=not given.plain_ids,
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    finished = job.run(asked, tell=_tell, progress=_progress)
    summary.write_parquet(finished.results, given.out)
    counts = summary.counted(row for result in finished.results for row in job.rows_in(result))
    versions = [_version(file, given.sources) for file in (given.knowledge, given.against)]
    written = summary.report(
        counts, finished.sifted, knowledge=versions[0], against=versions[1] if given.against else ""
    )
    given.out.with_suffix(".md").write_text(written, encoding="utf-8")
    if not given.keep_work:
        job.tidy(finished)
    return written


def _version(file: str | None, sources: str) -> str:
    return loader.load(Path(file) if file else None, Sources(sources)).version


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress(finished: Iterator[Future[int]], total: int, done: int) -> Iterator[Any]:
    """A bar on a terminal; else a line for every tenth of the parts."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        yield from tqdm(finished, total=total, initial=done, unit="part", file=sys.stderr)
        return
    for number, future in enumerate(finished, start=done + 1):
        if number * 10 // total > (number - 1) * 10 // total:
            _tell(f"{number} of {total} parts done")
        yield future


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
