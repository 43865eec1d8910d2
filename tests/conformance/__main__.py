"""`python -m tests.conformance`: write docs/conformance.md, and say what is wrong with what it is made from."""

import sys

from tests.conformance.checklist import complaints
from tests.conformance.pages import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
found = complaints()
print("\n".join(found) or "Every item of the checklist has a test or a reason.")
sys.exit(1 if found else 0)
