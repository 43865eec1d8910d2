"""Writes both documents from the file that cyclonedx-py has made; `python3 dev.py sbom` calls it."""

import sys
from pathlib import Path

from tests.supply_chain.pages import write

write(Path(sys.argv[1]))
