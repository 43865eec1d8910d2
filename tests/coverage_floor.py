"""Fails where a path of `[tool.tarlatamab.coverage_floor]` in pyproject.toml is covered less than it says.

Run by `dev.py test` after pytest has left its `.coverage`; lines and branches count together.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path


def main() -> int:
    """0 where every path reaches its floor."""
    root = Path(__file__).resolve().parent.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    floors: dict[str, int] = settings["tool"]["tarlatamab"]["coverage_floor"]
    missed = []
    for path, floor in floors.items():
        report = [sys.executable, "-m", "coverage", "report", f"--include={path}", f"--fail-under={floor}"]
        done = subprocess.run(
            [*report, "--format=total", "--precision=2"], cwd=root, capture_output=True, text=True, check=False
        )
        print(f"{path}: {done.stdout.strip() or 'nothing measured'} % (floor {floor} %)")
        if done.returncode != 0 and floor > 0:
            missed.append(path)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
