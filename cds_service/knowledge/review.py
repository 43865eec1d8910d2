"""python -m cds_service.knowledge.review: what a committee needs to sign the knowledge, and to see what a change does.

review                        check the file (gaps and overlaps end it by file and line), count what is not reviewed
review --print                all tables as Markdown, for sign-off
review --fhir                 the same as a Bundle of FHIR R4 resources
review --unreviewed           the rows that nobody has answered for, with the digest a review has to name
review --diff OLD.yaml        every decision that differs from OLD, over the vignettes and a grid of histories
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from cds_service.errors import KnowledgeError
from cds_service.knowledge import loader, sign_off
from cds_service.knowledge.regimen import Regimen, Sources

if TYPE_CHECKING:
    from cds_service.situations import Situation

WRONG = 2
VIGNETTES = "tests.vignettes.situations"


def main(arguments: Sequence[str]) -> int:
    """0 when all is well, 2 and one line on stderr for a file that cannot be used."""
    given = _arguments(arguments)
    sources = Sources(given.sources)
    try:
        regimen = startable(loader.load(given.knowledge, sources))
        if given.diff:
            print(difference(startable(loader.load(given.diff, sources)), regimen), end="")
        elif given.print:
            print(sign_off.as_markdown(regimen), end="")
        elif given.fhir:
            print(fhir_text(regimen))
        elif given.unreviewed:
            print("\n".join(f"{row.id} {row.digest} line {row.line}" for row in sign_off.unreviewed(regimen)))
        else:
            print(_summary(regimen))
    except KnowledgeError as error:
        print(error, file=sys.stderr)
        return WRONG
    return 0


def startable(regimen: Regimen) -> Regimen:
    """The same, if a service would start with it. Raises: KnowledgeError naming file and line."""
    from cds_service.engine.rulebook import Rulebook

    return Rulebook(regimen).regimen


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cds_service.knowledge.review", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--knowledge", type=Path, help="the file to review (default: the packaged one)")
    parser.add_argument("--sources", choices=[s.value for s in Sources], default=Sources.SEED_AND_LABEL.value)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--print", action="store_true")
    what.add_argument("--fhir", action="store_true")
    what.add_argument("--unreviewed", action="store_true")
    what.add_argument("--diff", type=Path, metavar="OLD.yaml")
    return parser.parse_args(arguments)


def _summary(regimen: Regimen) -> str:
    rows, open_rows = regimen.rows(), sign_off.unreviewed(regimen)
    return (
        f"{regimen.version}, {regimen.sources.value}: {len(regimen.tables)} tables, {len(rows)} rows in force, "
        f"no gap and no overlap; {len(open_rows)} rows not reviewed"
    )


def fhir_text(regimen: Regimen) -> str:
    """The Bundle that a running service gives on /knowledge, as JSON. Raises: KnowledgeError."""
    from cds_service import fhir_knowledge, services
    from cds_service.engine.rulebook import Rulebook
    from cds_service.fhir_client import FhirClient

    review = services.DrugReview(
        rulebook=Rulebook(regimen), fhir=FhirClient(budget_ms=1), zone=ZoneInfo("UTC"), clock=services.clock(None)
    )  # never called: only its entries are asked for
    entries = tuple(offer.entry for offer in services.offers(review))
    bundle = services.knowledge_of(regimen, "", entries).fhir
    fhir_knowledge.require_valid(bundle)
    written = msgspec.json.Encoder(decimal_format="number").encode(bundle)
    return msgspec.json.format(written, indent=2).decode()


def difference(old: Regimen, new: Regimen) -> str:
    """Markdown: what a prescriber would be told otherwise, over the vignettes and a grid of histories."""
    from cds_service import comparison, situations
    from cds_service.engine.rulebook import Rulebook

    books = Rulebook(old), Rulebook(new)
    vignettes = _vignettes(new.sources)
    parts = [f"# {old.version} → {new.version}"]
    for name, asked in (("Vignettes", vignettes), ("Histories", list(situations.grid(old, new)))):
        found = comparison.changes(*books, asked)
        if name == "Vignettes" and not asked:
            parts.append("## Vignettes\nnot here: they come with the source, not with the package")
            continue
        parts.append(f"## {name}\n{len(asked)} asked, {sum(len(c.situations) for c in found)} answered otherwise")
        parts += [change.as_markdown() for change in found]
    return "\n\n".join(parts) + "\n"


def _vignettes(sources: Sources) -> list[Situation]:
    try:
        found: list[Situation] = importlib.import_module(VIGNETTES).situations(sources)
    except ModuleNotFoundError:
        return []
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
