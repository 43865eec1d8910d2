"""Reads from the FHIR server that a call names: in parallel, and never for longer than the call's budget.

What fails has one of the names in `Failure`. No token, URL or body ever stands in an exception or a log line.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, TypeAlias

import requests
import urllib3

from cds_service.fhir_address import AddressRule, Base, base_of, demonstration_rule, within
from cds_service.fhir_answer import body_of, check_status, next_link, resource_in
from cds_service.fhir_connection import CallTime, FhirAdapter, one_request
from cds_service.fhir_failure import Failure, FhirFailed
from fhir_mappings.chart import Resource

for _name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "urllib3"]:
    logging.getLogger(_name).disabled = True  # its lines hold URLs, its warnings too, and with them patient ids

MEBIBYTE: Final = 1024 * 1024
SECONDS_FOR_KEYS: Final = 3.0
SLACK_SECONDS: Final = 0.01
"""A failure this near to the end of the budget is the end of the budget."""

_STRICTLY_REFUSED: Final = frozenset({400, 422})
_FIRST_WORD: Final = re.compile(r"[/?]")

Observe: TypeAlias = Callable[[str, float | None, Failure | None], None]
"""Is told of each question: the resource type it begins with, milliseconds (None: it was not asked), and a failure."""


def _unobserved(_kind: str, _milliseconds: float | None, _failure: Failure | None) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much one question may bring: pages, bytes of one page as decompressed, and bytes of all its pages."""

    pages: int = 40
    page_bytes: int = 16 * MEBIBYTE
    all_bytes: int = 48 * MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: `Type/id`, a search, or the next link of a Bundle that came with the call."""

    query: str
    resource_type: str = "Bundle"

    @property
    def begins_with(self) -> str:
        """The resource type that a query of ours names; of a next link, which is the server's, anything."""
        return _FIRST_WORD.split(self.query, maxsplit=1)[0]


@dataclass(kw_only=True)
class Answer:
    """The pages read so far, and why they are not all. `unfiltered`: the server may have ignored search parameters.

    It lacks something until its reading has come to its end.
    """

    pages: list[Resource] = field(default_factory=list)
    failure: Failure | None = Failure.TIMEOUT
    unfiltered: bool = False


class FhirClient:
    """What the calls of one process share: open connections for each FHIR base, and a bounded number of threads.

    Threads and connections come into being with the first read, so a server may fork after this is made.
    """

    def __init__(
        self,
        *,
        budget_ms: int,
        may_connect: AddressRule = demonstration_rule,
        threads: int = 24,
        bases: int = 32,
        bounds: Bounds = Bounds(),
        observe: Observe = _unobserved,
    ) -> None:
        self.bounds = bounds
        self.observe: Final = observe
        self._budget_seconds = budget_ms / 1000
        self._may_connect = may_connect
        self._threads = threads
        self._bases = bases
        self._adapters: OrderedDict[Base, FhirAdapter] = OrderedDict()
        self._lock = threading.Lock()
        self.executor: Final = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fhir")

    def reader(
        self, base_url: str | None, token: str | None = None, *, only: Sequence[str] | None = None
    ) -> FhirReader | None:
        """The reader for one call, whose budget begins now; None where the call names no FHIR server.

        `only`: the bases that may be asked for this client; the reader of another one asks nothing and says so.
        """
        if not base_url:
            return None
        base = base_of(base_url)
        is_listed = only is None or base in map(base_of, only)
        call = CallTime(budget_seconds=self._budget_seconds, clock=time.monotonic, may_connect=self._may_connect)
        return FhirReader(client=self, call=call, base=base if is_listed else None, token=token)

    def adapter(self, base: Base) -> FhirAdapter:
        """The open connections to this server; those of the server that was asked longest ago are given up."""
        with self._lock:
            if base not in self._adapters:
                self._adapters[base] = FhirAdapter(pool_connections=1, pool_maxsize=self._threads, max_retries=0)
            self._adapters.move_to_end(base)
            given_up = [self._adapters.popitem(last=False)[1] for _ in range(len(self._adapters) - self._bases)]
            adapter = self._adapters[base]
        for old in given_up:
            old.close()
        return adapter

    def close(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()
            self._adapters.clear()

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FhirReader:
    """Reads for one call. The token goes with every request to the call's own server, and nowhere else."""

    def __init__(self, *, client: FhirClient, call: CallTime, base: Base | None, token: str | None) -> None:
        self._client = client
        self._call = call
        self._base = base
        self._token = token

    def __repr__(self) -> str:
        return "FhirReader()"

    def answers(self, questions: Mapping[str, Question]) -> dict[str, Answer]:
        """Ask everything at once, and wait no longer than the call's budget. Each answer says what it lacks.

        What has come of an answer when the time is over is kept.
        """
        base = self._base
        if base is None:
            return self._unasked(questions, Failure.ADDRESS_NOT_ALLOWED)
        if self._token is None and not base.is_on_this_machine:
            return self._unasked(questions, Failure.NO_TOKEN)
        started = time.monotonic()
        errands = {key: self._errand(question, base) for key, question in questions.items()}
        futures = {key: self._client.executor.submit(errand.run) for key, errand in errands.items()}
        late = wait(futures.values(), timeout=self._call.seconds_left()).not_done
        if late:
            self._call.end()
        ended = time.monotonic()
        answers = {
            key: _outcome(futures[key], errand.answer, is_late=futures[key] in late) for key, errand in errands.items()
        }
        for key, answer in answers.items():
            seconds = (errands[key].ended_at or ended) - started
            self._client.observe(questions[key].begins_with, 1000 * seconds, answer.failure)
        return answers

    def _unasked(self, questions: Mapping[str, Question], why: Failure) -> dict[str, Answer]:
        for question in questions.values():
            self._client.observe(question.begins_with, None, why)
        return {key: Answer(failure=why) for key in questions}

    def reaches(self, link: str) -> bool:
        """Whether this reference, relative or absolute, is one of the call's own server."""
        return self._base is not None and within(self._base, link) is not None

    def _errand(self, question: Question, base: Base) -> _Errand:
        return _Errand(
            question=question,
            answer=Answer(),
            base=base,
            token=self._token,
            call=self._call,
            adapter=self._client.adapter(base),
            bounds=self._client.bounds,
        )


def _outcome(errand: Future[None], answer: Answer, *, is_late: bool) -> Answer:
    """What has come by now. A mistake of ours while reading is no failure of the server: it is raised."""
    if is_late:
        errand.cancel()
        return Answer(pages=list(answer.pages), failure=Failure.TIMEOUT, unfiltered=answer.unfiltered)
    errand.result()
    return answer


@dataclass(kw_only=True)
class _Errand:
    """One question, brought to its server by a thread of the client's; the answer grows page by page."""

    question: Question
    answer: Answer
    base: Base
    token: str | None = field(repr=False)
    call: CallTime
    adapter: FhirAdapter
    bounds: Bounds
    ended_at: float | None = None

    def run(self) -> None:
        try:
            self._read_pages()
            self.answer.failure = None
        except FhirFailed as failed:
            is_read = self.question.resource_type != "Bundle"
            unsupported = failed.failure is Failure.NOT_SUPPORTED
            self.answer.failure = Failure.NOT_FOUND if is_read and unsupported else failed.failure
        self.ended_at = time.monotonic()

    def _read_pages(self) -> None:
        seen: set[str] = set()
        bytes_left = self.bounds.all_bytes
        link = self.question.query
        while link:
            url = within(self.base, link)
            if url is None:
                raise FhirFailed(Failure.LINK_ELSEWHERE)
            if url in seen:
                raise FhirFailed(Failure.LINK_REPEATS)
            if len(seen) == self.bounds.pages:
                raise FhirFailed(Failure.TOO_MANY_PAGES)
            seen.add(url)
            body = self._body(url, most=min(bytes_left, self.bounds.page_bytes))
            bytes_left -= len(body)
            page = resource_in(body, self.question.resource_type)
            self.answer.pages.append(page)
            link = next_link(page)

    def _body(self, url: str, *, most: int) -> bytes:
        """The bytes at `url`. A search that is refused for a parameter the server does not know is asked leniently.

        A broken connection is tried once more (a kept-open one may just have been closed), within the same budget.
        """
        try:
            return self._get(url, most=most)
        except FhirFailed as failed:
            if failed.failure is Failure.CONNECTION_FAILED:
                return self._get(url, most=most)
            is_search = self.question.resource_type == "Bundle"
            if failed.status not in _STRICTLY_REFUSED or self.answer.unfiltered or not is_search:
                raise
            self.answer.unfiltered = True
            return self._get(url, most=most)

    def _get(self, url: str, *, most: int) -> bytes:
        return _body(self._request(url), adapter=self.adapter, call=self.call, most=most)

    def _request(self, url: str) -> requests.PreparedRequest:
        headers = {
            "Accept": "application/fhir+json",
            "Prefer": f"handling={'lenient' if self.answer.unfiltered else 'strict'}",
            "User-Agent": "tarlatamab-cds",
        }
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return requests.Request("GET", url, headers=headers).prepare()


def _body(request: requests.PreparedRequest, *, adapter: FhirAdapter, call: CallTime, most: int) -> bytes:
    """The bytes that are answered with status 200, at most so many. Raises: FhirFailed."""
    left = call.seconds_left()
    if left <= 0:
        raise FhirFailed(Failure.TIMEOUT)
    try:
        with one_request(call):
            response = adapter.send(request, stream=True, timeout=(left, left), verify=True)
            try:
                check_status(response.status_code)
                return body_of(response, most)
            finally:
                response.close()
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        if isinstance(error, requests.Timeout) or call.seconds_left() <= SLACK_SECONDS:
            raise FhirFailed(Failure.TIMEOUT) from None
        if isinstance(error, requests.exceptions.ContentDecodingError):
            raise FhirFailed(Failure.MALFORMED) from None
        raise FhirFailed(Failure.CONNECTION_FAILED) from None


# --- keys of clients ----------------------------------------------------------------------------------------


def key_fetcher(may_connect: AddressRule) -> Callable[[str], bytes]:
    """Gets what stands at a `jwks_url`, as carefully as anything from a FHIR server. Raises: FhirFailed."""
    adapter = FhirAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)

    def fetch(url: str) -> bytes:
        request = requests.Request("GET", url, headers={"Accept": "application/json", "User-Agent": "tarlatamab-cds"})
        call = CallTime(budget_seconds=SECONDS_FOR_KEYS, clock=time.monotonic, may_connect=may_connect)
        end = threading.Timer(SECONDS_FOR_KEYS, call.end)
        end.daemon = True
        end.start()
        try:
            return _body(request.prepare(), adapter=adapter, call=call, most=MEBIBYTE)
        finally:
            end.cancel()

    return fetch


def seconds() -> float:
    """A monotonic reading, for how old keys are."""
    return time.monotonic()
