"""`python -m tests.vignettes`: write the pages that show every card of every vignette."""

from tests.vignettes.pages import PAGES, pages
from tests.vignettes.test_vignettes import CASES, cards_for

PAGES.mkdir(exist_ok=True)
fresh = pages((case, cards_for(case)) for case in CASES)
for path in set(PAGES.glob("*.md")) - fresh.keys():
    path.unlink()
for path, text in fresh.items():
    path.write_text(text, encoding="utf-8")
