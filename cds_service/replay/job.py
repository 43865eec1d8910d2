"""The whole replay: sift once, ask each shard in a process of its own or on a cluster, and go on where it was left.

Work folder: `<digest of the export>/` with the shards, in it `<digest of the question>/` with one file of rows for each
finished shard. What was made from another export, knowledge or program stands under another digest and is not used.
"""

from __future__ import annotations

import functools
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import msgspec

import fhir_mappings
from cds_service.errors import ReplayError
from cds_service.replay.evaluation import Evaluation, Question, Row
from cds_service.replay.export import READ, Export, export_in
from cds_service.replay.shards import PATIENTS_A_SHARD, Sifted, patients_of, shards_in, sift, sifted_in

_PROGRAM: Final = ("*.py", "*.yaml", "*.json", "*.sql")
_SALT_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked of a replay. `scheduler` is the address of a Dask scheduler; "" for processes on this machine.

    `none_of` are types that were asked for in the export and of which there are none.
    """

    folder: Path
    work: Path
    question: Question
    processes: int
    memory: str
    scheduler: str = ""
    none_of: frozenset[str] = frozenset()
    patients_a_shard: int = PATIENTS_A_SHARD
    pseudonyms: bool = True


@dataclass(frozen=True, kw_only=True)
class Finished:
    """All rows, by shard, and what was found on the way."""

    sifted: Sifted
    results: tuple[Path, ...]
    place: Path


Tell = Callable[[str], None]
Progress = Callable[[Iterator[Any], int, int], Iterator[Any]]
"""Shows finished shards as they come: the shards to do, how many they are, and how many were done before."""


def run(job: Job, *, tell: Tell, progress: Progress) -> Finished:
    """Do what is not done yet.

    Raises: ReplayError where the export cannot be used, or shards could not be finished; KnowledgeError.
    """
    Evaluation(job.question).check()  # a mistake in a knowledge file is told before hours of reading
    export = export_in(job.folder)
    job.work.mkdir(mode=0o700, parents=True, exist_ok=True)  # records of patients in clear
    place = job.work / f"export-{digest_of(export.digest, str(job.patients_a_shard))}"
    sifted = sifted_in(place)
    if sifted is None:
        tell(f"reading {len(export.files)} files of the export ...")
        sifted = sift(export, place, memory=job.memory, patients_a_shard=job.patients_a_shard)
    results = place / f"rows-{_digest_of_question(job)}"
    results.mkdir(exist_ok=True)
    question = _completed(job, export, results)
    shards = {results / f"{number:06}.ndjson": shard for number, shard in shards_in(place).items()}
    to_do = {result: shard for result, shard in shards.items() if not result.is_file()}
    done = len(shards) - len(to_do)
    tell(f"{sifted.patients:,} patients with orders to replay, {done} of {len(shards)} parts done before")
    _ask(job, question, to_do, done=done, progress=progress)
    return Finished(sifted=without(sifted, job.none_of), results=tuple(shards), place=place)


def without(sifted: Sifted, none_of: frozenset[str]) -> Sifted:
    """What was found, without the types of which somebody says that there are none."""
    left = [kind for kind in sifted.not_exported if kind not in none_of]
    return msgspec.structs.replace(sifted, not_exported=left)


def _completed(job: Job, export: Export, results: Path) -> Question:
    """The question with what the export holds, and with the salt of its pseudonyms: the same after a restart."""
    kept = results / "salt"
    if job.pseudonyms and job.question.salt is None and not kept.is_file():
        kept.touch(mode=0o600)
        kept.write_bytes(secrets.token_bytes(_SALT_BYTES))
    salt = kept.read_bytes() if job.pseudonyms and job.question.salt is None else job.question.salt
    return replace(job.question, exported=frozenset((export.kinds & READ) | job.none_of), salt=salt)


def _ask(job: Job, question: Question, to_do: dict[Path, Path], *, done: int, progress: Progress) -> None:
    with _workers(job, len(to_do)) as workers:
        asked: dict[Future[int], Path] = {
            workers.submit(ask_shard, str(shard), str(result), question, job.memory): shard
            for result, shard in to_do.items()
        }
        finished = progress(as_completed(asked), len(asked) + done, done)
        failed = {asked[future].name: error for future in finished if (error := future.exception()) is not None}
    for name, error in failed.items():
        raise ReplayError(
            f"{len(failed)} parts could not be finished ({name}: {type(error).__name__}); the others are kept: "
            "run the same command again"
        )


def tidy(finished: Finished) -> None:
    """Take away what was made of this export, for it holds patients' data; the work folder if nothing else is in it."""
    shutil.rmtree(finished.place, ignore_errors=True)
    with suppress(OSError):
        finished.place.parent.rmdir()


def _workers(job: Job, parts: int) -> AbstractContextManager[Executor]:
    """Who asks the shards. A single process is this one: the rules are read already."""
    if job.scheduler:
        return _cluster(job.scheduler)
    if min(job.processes, parts) <= 1:
        return _stopping(ThreadPoolExecutor(max_workers=1))
    return _stopping(ProcessPoolExecutor(max_workers=job.processes, mp_context=get_context("spawn")))


@contextmanager
def _stopping(workers: Executor) -> Iterator[Executor]:
    """Workers that finish the parts they have begun when it is interrupted, and begin no other."""
    try:
        yield workers
    finally:
        workers.shutdown(cancel_futures=True)


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    """The workers of a Dask cluster, which see the work folder and the knowledge file under the same paths."""
    try:
        from distributed import Client
    except ImportError:
        raise ReplayError("--scheduler needs Dask: pip install 'distributed>=2026.3'") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ReplayError(f"--scheduler {address}: no Dask scheduler answers ({type(error).__name__})") from None
    with client, client.get_executor(pure=False) as workers:  # type: ignore[no-untyped-call]
        yield workers


# --- in a worker ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def _evaluation(question: Question) -> Evaluation:
    """The rules are read once for each process."""
    return Evaluation(question)


def ask_shard(shard: str, result: str, question: Question, memory: str) -> int:
    """Write the rows of all patients of a shard; how many they are. A result is there only when it is whole."""
    evaluation, encoder, rows = _evaluation(question), msgspec.json.Encoder(), 0
    unfinished = Path(f"{result}.{secrets.token_hex(4)}.tmp")
    with unfinished.open("wb") as written:
        for patient, lines in patients_of(Path(shard), memory=memory):
            for row in evaluation.rows(patient, lines):
                written.write(encoder.encode(row) + b"\n")
                rows += 1
    unfinished.replace(result)
    return rows


def rows_in(result: Path) -> Iterator[Row]:
    """The rows that were written."""
    decoder = msgspec.json.Decoder(Row)
    with result.open("rb") as lines:
        yield from map(decoder.decode, lines)


# --- is it the same? --------------------------------------------------------------------------------------------------


def digest_of(*parts: str) -> str:
    """A short name for exactly these."""
    return sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def _digest_of_question(job: Job) -> str:
    asked = job.question
    salt = "as they are" if not job.pseudonyms else sha256(asked.salt or b"").hexdigest()
    knowledge = [
        sha256(Path(file).read_bytes()).hexdigest() if file else "" for file in (asked.knowledge, asked.against)
    ]
    return digest_of(asked.zone, asked.sources, salt, *knowledge, *sorted(job.none_of), _digest_of_program())


def _digest_of_program() -> str:
    """Another one as soon as a line of the service has changed."""
    found = sha256()
    for package in (Path(__file__).parent.parent, Path(fhir_mappings.__file__).parent):
        for path in sorted(path for pattern in _PROGRAM for path in package.rglob(pattern)):
            found.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return found.hexdigest()
