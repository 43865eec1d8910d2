"""The files of a FHIR Bulk Data export: which there are, of which type, and whether they are still the same.

Source: FHIR Bulk Data Access 2.0: NDJSON, one type a file, any number of files for a type, maybe compressed.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from cds_service.errors import ReplayError
from cds_service.prefetch import PREFETCH, RENAMED

MEDICATION: Final = "Medication"
READ: Final = frozenset({template.resource_type for template in PREFETCH} | {*RENAMED, MEDICATION})
"""The types that the service asks for."""

_ENDINGS: Final = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
_A_TYPE: Final = re.compile(r"(?<![A-Za-z])([A-Z][A-Za-z]{2,63})(?![A-Za-z])")
_LINES_TRIED: Final = 5
_LONGEST_TRIED: Final = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BulkFile:
    """One file. `kind` is the type of its resources, "" where neither its first lines nor its name tell it."""

    path: Path
    name: str
    kind: str
    size: int
    modified: int

    @property
    def is_read(self) -> bool:
        return self.kind in READ or not self.kind


@dataclass(frozen=True, kw_only=True)
class Export:
    """All files, by name."""

    files: tuple[BulkFile, ...]

    def of(self, kinds: Iterable[str]) -> list[str]:
        """The paths of the files that may hold resources of these types."""
        return [str(found.path) for found in self.files if found.is_read and found.kind in {*kinds, ""}]

    @property
    def kinds(self) -> frozenset[str]:
        """The types of which there is a file, also an empty one: an empty file says that there are none."""
        return frozenset(found.kind for found in self.files if found.kind)

    @property
    def not_read(self) -> Mapping[str, int]:
        """How many files of which other types."""
        return Counter(found.kind for found in self.files if not found.is_read)

    @property
    def digest(self) -> str:
        """Another one as soon as a file is added, taken away or written anew."""
        said = [[found.name, found.size, found.modified] for found in self.files if found.is_read]
        return sha256(msgspec.json.encode(said)).hexdigest()


def export_in(folder: Path) -> Export:
    """The export in this folder and those below it.

    Raises: ReplayError where there is none, or a file of it cannot be opened.
    """
    if not folder.is_dir():
        raise ReplayError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.name.endswith(_ENDINGS) and path.is_file())
    if not paths:
        raise ReplayError(f"{folder}: no file in it ends in {', '.join(_ENDINGS)}")
    return Export(files=tuple(_file(path, folder) for path in paths))


def _file(path: Path, folder: Path) -> BulkFile:
    stated = path.stat()
    return BulkFile(
        path=path.resolve(),
        name=path.relative_to(folder).as_posix(),
        kind=_kind_in(path) or _kind_named(path.name),
        size=stated.st_size,
        modified=stated.st_mtime_ns,
    )


def _kind_named(name: str) -> str:
    """The type that a file is named for: `Condition.000.ndjson`, `1.Condition.ndjson`."""
    named = _A_TYPE.findall(name)
    return named[0] if len(named) == 1 else ""


def _kind_in(path: Path) -> str:
    """The type of the first resource that can be read."""
    try:
        for line in _first_lines(path):
            try:
                found: Any = msgspec.json.decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if isinstance(found, dict) and isinstance(found.get("resourceType"), str):
                return str(found["resourceType"])
    except (OSError, EOFError) as error:
        raise ReplayError(f"{path.name} cannot be read ({type(error).__name__}): export it again") from None
    return ""


def _first_lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in islice(iter(lambda: lines.readline(_LONGEST_TRIED), b""), _LINES_TRIED):
            yield line.removeprefix(b"\xef\xbb\xbf")
