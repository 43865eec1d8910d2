"""`python -m tests.conformance`: write docs/conformance.md, and say what is missing."""

import sys

from tests.conformance.checklist import PAGE, complaints, items, page

found = items()
PAGE.write_text(page(found), encoding="utf-8")
wrong = list(complaints(found))
print("\n".join(wrong) or "Every item of the checklist is accounted for.")
sys.exit(1 if wrong else 0)
