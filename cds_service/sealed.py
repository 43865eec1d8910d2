"""What a browser keeps for this service, sealed: it can neither read nor change it, and it soon is worth nothing.

Fernet (AES-128-CBC with HMAC-SHA256) of the library cryptography. Several keys: the first seals, all of them open, so
that keys can be changed while launches are under way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cds_service import setting_file
from cds_service.errors import SettingError

SETTING: Final = "CDS_SECRET_KEY_FILE"


class Seal:
    """Seals and opens with these keys. `now` is the machine's clock: what is sealed has an age."""

    def __init__(self, keys: tuple[Fernet, ...], *, now: Callable[[], datetime]) -> None:
        self._keys = MultiFernet(keys)
        self._now = now

    def closed(self, content: bytes) -> str:
        return self._keys.encrypt_at_time(content, int(self._now().timestamp())).decode("ascii")

    def opened(self, sealed: str, *, most_seconds: int) -> bytes | None:
        """What was sealed at most so long ago; None for anything else."""
        try:
            return self._keys.decrypt_at_time(sealed, most_seconds, int(self._now().timestamp()))
        except (InvalidToken, ValueError):  # ValueError: it is no ASCII
            return None


def keys_in(path: Path | None) -> tuple[Fernet, ...]:
    """The keys of the file, one a line, the newest first; without a file a new one, for this process and its forks.

    Raises: SettingError.
    """
    if path is None:
        return (Fernet(Fernet.generate_key()),)
    lines = setting_file.text_at(path, setting=SETTING).split()
    try:
        keys = tuple(map(Fernet, lines))
    except ValueError:
        keys = ()
    if not keys:
        raise SettingError(f"{SETTING}: expected keys of 32 bytes in URL-safe base64, one a line, the newest first")
    return keys
