"""Every failure that this service names itself.

ServiceError
├── SettingError      a setting is wrong: the start ends with exit code 2 and one line
├── KnowledgeError    the knowledge file is wrong: the start ends with file and line
├── ReplayError       an export or a request to replay it cannot be used: the command ends with one line
├── NotAuthenticated  nobody known calls: 401, the same for every reason
├── RequestError      the call cannot be read: 400, with the JSON path of each mistake
│   └── TooMuch       it holds more than is assessed: 413, with what there is too much of
├── TooManyCalls      the client has too many calls open: 429
├── NothingReadable   none of the needed data could be had: 412, with the keys and reasons
├── SmartRefused      the SMART app cannot be shown: a page that says why
└── StoreUnavailable  the database cannot be read or written: feedback gets 503, advice goes on without it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ServiceError(Exception):
    """The root: its text names the place and the mend, and holds no patient data."""


class SettingError(ServiceError):
    """A setting is wrong. The text is one line that names the variable and what it takes."""


class KnowledgeError(ServiceError):
    """The knowledge file, or a use of it, is wrong."""


class ReplayError(ServiceError):
    """A replay cannot be done so. The text is one line that names the file or the option, and the mend."""


class Refusal(StrEnum):
    """What was wrong with a token, in a word for metrics and log: there are no others, and none is a client's."""

    NO_TOKEN = "no token"  # noqa: S105 - a word for the metrics
    MALFORMED = "malformed"
    ISSUER = "issuer"
    HEADER = "header"
    ALGORITHM = "algorithm"
    KEY_ADDRESS = "key address"
    KEY = "key"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    TIME = "time"
    CLAIMS = "claims"
    TENANT = "tenant"
    REPLAY = "replay"


class NotAuthenticated(ServiceError):
    """The caller is not one of the clients. `refusal` is for metrics and log; the caller is not told it.

    `claimed`: the name of the client that the token says it is of, if there is such a client; anybody can say so.
    """

    def __init__(self, refusal: Refusal, *, claimed: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.claimed = claimed


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One thing wrong in a call: where (`context.draftOrders`; "" for the whole body) and what, without the value.

    `code` is one of FHIR's issue types.
    """

    path: str
    what: str
    code: str = "invalid"

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


class RequestError(ServiceError):
    """The call cannot be read."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class TooMuch(RequestError):
    """The call holds more than is assessed: nothing of it was."""


class TooManyCalls(ServiceError):
    """The client has as many calls open as it may. `most` says how many these are."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a client may have {most} calls open at once")
        self.most = most


class NothingReadable(ServiceError):
    """None of the data that every answer needs could be had. `reasons` says why, for each prefetch key."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {why}" for key, why in reasons.items()))
        self.reasons = dict(reasons)


class Trouble(StrEnum):
    """Why the SMART app cannot be shown, in a word for the log: there are no others, and none is anybody else's."""

    NO_ISSUER = "no issuer"
    UNKNOWN_ISSUER = "unknown issuer"
    NOT_STANDALONE = "not standalone"
    TOO_LONG = "too long"
    NO_CONFIGURATION = "no configuration"
    BAD_CONFIGURATION = "bad configuration"
    NO_PKCE = "no pkce"
    STATE = "state"
    USED = "used before"
    OTHER_ISSUER = "other issuer"
    DENIED = "denied"
    NOT_AUTHORIZED = "not authorized"
    NO_CODE = "no code"
    GONE = "gone"
    CODE_REFUSED = "code refused"
    TOKEN_REFUSED = "token refused"  # noqa: S105 - a word for the log
    NO_TOKEN = "no token"  # noqa: S105 - a word for the log
    NO_PATIENT = "no patient"
    RECORD = "record"
    BUSY = "busy"
    STORE = "store"


class SmartRefused(ServiceError):
    """The SMART app cannot be shown. `trouble` says why; what the issuer or the browser sent is not in it."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


class StoreUnavailable(ServiceError):
    """The database cannot be read or written now. The text is the kind of its error, never its words or parameters."""
