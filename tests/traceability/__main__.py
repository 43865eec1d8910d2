"""`python -m tests.traceability`: write the generated documents, and say what is wrong with what they are made from."""

import sys

from tests.traceability.pages import complaints, fresh

for path, text in fresh().items():
    path.write_text(text, encoding="utf-8")
found = complaints()
print("\n".join(found) or "Every statement and row is accounted for.")
sys.exit(1 if found else 0)
