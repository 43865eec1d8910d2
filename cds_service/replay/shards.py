"""An export → shards: only the patients with an order of the drug, all resources of one patient in one shard.

DuckDB reads the files as lines, whatever stands in them, and sorts on disk what does not fit into memory. Whether an
order is of the drug is asked of the service's own reading, once for each medication stated.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from cds_service.errors import ReplayError
from cds_service.prefetch import RENAMED
from cds_service.replay.export import MEDICATION, READ, Export
from cds_service.replay.signings import ORDERS
from fhir_mappings.chart import Resource
from fhir_mappings.drugs import Recognition
from fhir_mappings.medications import recognise

PATIENTS_A_SHARD: Final = 50
LONGEST_LINE: Final = 16 * 1024 * 1024
_BATCH: Final = 2_000
_STAGE: Final = re.compile(r"^-- stage: (\w+)\n", re.MULTILINE)


class Sifted(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on the way: for the report, and to know the shards again.

    `unreadable` are lines by file; `no_patient` resources by type; `references` how patients are referred to.
    """

    shards: int
    patients: int
    lines: int
    by_type: dict[str, int]
    unreadable: dict[str, int]
    no_patient: dict[str, int]
    references: dict[str, int]
    orders_of_nobody: int
    repeated: int
    versions: int
    files_not_read: dict[str, int]
    not_exported: list[str]


def sift(export: Export, folder: Path, *, memory: str, patients_a_shard: int = PATIENTS_A_SHARD) -> Sifted:
    """Write the shards into `folder`, which must not be there yet.

    Raises: ReplayError naming the file that ends too early or cannot be read at all.
    """
    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with duckdb.connect(str(scratch / "sift.duckdb")) as base:
            base.execute(f"SET memory_limit = '{memory}'; SET preserve_insertion_order = false")
            base.execute(f"SET temp_directory = '{_quoted(scratch / 'spill')}'; SET enable_progress_bar = false")
            _set_variables(base, export, scratch, patients_a_shard)
            sifted = _sift(base, export)
            base.execute(
                f"COPY shard_lines TO '{_quoted(scratch / 'shards')}' "
                "(FORMAT parquet, PARTITION_BY (shard), COMPRESSION zstd)"
            )
    except duckdb.Error as error:
        raise ReplayError(f"the export cannot be read: {str(error).splitlines()[0]}") from None
    (scratch / "sift.duckdb").unlink()
    (scratch / "sifted.json").write_bytes(msgspec.json.encode(sifted))
    scratch.replace(folder)
    return sifted


def sifted_in(folder: Path) -> Sifted | None:
    """What an earlier run found; None where it did not come to its end."""
    noted = folder / "sifted.json"
    return msgspec.json.decode(noted.read_bytes(), type=Sifted) if noted.is_file() else None


def _set_variables(base: duckdb.DuckDBPyConnection, export: Export, scratch: Path, patients_a_shard: int) -> None:
    nothing = scratch / "nothing.ndjson"  # a list of files must not be empty
    nothing.touch()
    wanted = {
        "patient_files": ["Patient"],
        "order_files": ORDERS,
        "medication_files": [MEDICATION],
        "chart_files": READ,
    }
    variables: dict[str, Any] = {name: [str(nothing), *export.of(kinds)] for name, kinds in wanted.items()}
    variables |= {"read": sorted(READ), "orders": sorted(ORDERS)}
    variables |= {"longest_line": LONGEST_LINE, "patients_a_shard": patients_a_shard}
    for name, value in variables.items():
        base.execute(f"SET VARIABLE {name} = $1", [value])


def _run(base: duckdb.DuckDBPyConnection, stage: str) -> None:
    """The statements of this stage of sift.sql."""
    _, *found = _STAGE.split(files("cds_service.replay").joinpath("sift.sql").read_text(encoding="utf-8"))
    base.execute(dict(zip(found[::2], found[1::2], strict=True))[stage])


def _sift(base: duckdb.DuckDBPyConnection, export: Export) -> Sifted:
    _run(base, "lines")
    _run(base, "counts")
    _run(base, "statements")
    for numbers in _concerning(base):
        base.execute("INSERT INTO concerning SELECT unnest($1)", [numbers])
    _run(base, "charts")
    named = {str(found.path): found.name for found in export.files}
    unreadable = _table(base, "SELECT filename, number FROM unreadable ORDER BY 1")
    return Sifted(
        shards=_one(base, "SELECT coalesce(max(shard) + 1, 0) FROM chosen"),
        patients=_one(base, "SELECT count(*) FROM chosen"),
        lines=_one(base, "SELECT coalesce(sum(number), 0) FROM counted WHERE kind IS NOT NULL")
        + sum(unreadable.values()),
        by_type=_table(base, "SELECT kind, sum(number) FROM counted WHERE kind IS NOT NULL GROUP BY ALL ORDER BY 1"),
        unreadable={named.get(path, path): number for path, number in unreadable.items()},
        no_patient=_table(base, "SELECT kind, sum(number) FROM counted WHERE is_nobodys GROUP BY ALL ORDER BY 1"),
        references=_table(
            base,
            """
            SELECT form, sum(number) FROM counted WHERE NOT is_nobodys AND kind NOT IN ('Patient', 'Medication')
            GROUP BY ALL ORDER BY 1
            """,
        ),
        orders_of_nobody=_one(base, "SELECT count(*) FROM orders WHERE concerns AND patient IS NULL"),
        repeated=_one(base, "SELECT count(*) - count(DISTINCT (patient, line)) FROM charts"),
        versions=_one(
            base,
            """
            SELECT count(*) FROM (SELECT 1 FROM charts WHERE id IS NOT NULL
            GROUP BY patient, kind, id HAVING count(DISTINCT line) > 1)
            """,
        ),
        files_not_read=dict(export.not_read),
        not_exported=sorted(READ - export.kinds - {*RENAMED, MEDICATION}),
    )


def _one(base: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(base.execute(query).fetchall()[0][0])


def _table(base: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return {str(name): int(number) for name, number in base.execute(query).fetchall()}


# --- which orders are of the drug -------------------------------------------------------------------------------------


def _concerning(base: duckdb.DuckDBPyConnection) -> Iterator[list[int]]:
    """The statements of a medication that are of the drug, or may be."""
    with base.cursor() as reading, base.cursor() as asking:
        reading.execute("SELECT number, stated, medication FROM statements")
        while batch := reading.fetchmany(_BATCH):
            known = _medications(asking, {identity for _, _, identity in batch if identity})
            yield [number for number, stated, _ in batch if recognise(_stated(stated), known) is not Recognition.OTHER]


def _stated(text: str) -> Resource:
    found: dict[str, Any] = msgspec.json.decode(text)
    return {"resourceType": "MedicationRequest", **{name: value for name, value in found.items() if value is not None}}


def _medications(base: duckdb.DuckDBPyConnection, wanted: set[str]) -> dict[str, Resource]:
    """These Medications, and those that they name as ingredients."""
    found: dict[str, Resource] = {}
    for _ in range(2):
        missing = [identity for identity in wanted if f"Medication/{identity}" not in found]
        rows = base.execute("SELECT id, line FROM medications WHERE id IN (SELECT unnest($1))", [missing]).fetchall()
        found |= {f"Medication/{identity}": msgspec.json.decode(line) for identity, line in rows}
        wanted = {place.rpartition("/")[2] for _, line in rows for place in _pointers(line)}
    return found


def _pointers(line: str) -> list[str]:
    """The Medications that a Medication refers to."""
    found: dict[str, Any] = msgspec.json.decode(line)
    parts = [part for part in found.get("ingredient", ()) if isinstance(part, dict)]
    named = [part.get("itemReference") or part.get("item") for part in parts]
    pointers = [one.get("reference") for one in named if isinstance(one, dict)]
    return [pointer for pointer in pointers if isinstance(pointer, str)]


# --- the shards -------------------------------------------------------------------------------------------------------


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def shards_in(folder: Path) -> Mapping[int, Path]:
    """The shards by their numbers."""
    found = {int(path.name.partition("=")[2]): path for path in (folder / "shards").glob("shard=*")}
    return dict(sorted(found.items()))


def patients_of(shard: Path, *, memory: str) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    """Each patient of a shard with the lines of its resources, each after its type: the orders first.

    Only one patient's lines need be held at a time; they come in the same order at every reading.
    """
    with duckdb.connect() as base:
        base.execute(f"SET memory_limit = '{memory}'; SET threads = 1; SET enable_progress_bar = false")
        base.execute(f"SET temp_directory = '{_quoted(shard.parent / f'spill-{shard.name}')}'")
        base.execute(
            """
            SELECT patient, kind, line FROM read_parquet($1)
            ORDER BY patient, NOT list_contains($2, kind), kind, line
            """,
            [str(shard / "*.parquet"), sorted(ORDERS)],
        )
        for patient, rows in groupby(_rows(base), key=itemgetter(0)):
            yield patient, ((kind, line) for _, kind, line in rows)


def _rows(base: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, str]]:
    while batch := base.fetchmany(_BATCH):
        yield from batch
