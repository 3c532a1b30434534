"""Looks pinned packages up in databases of known vulnerabilities, and says what was not looked up.

    python tests/supply/audit.py requirements.txt [...]

pip-audit alone ends with 0 when an index answers without any data on vulnerabilities, as mirrors
do: "not found" is not "not vulnerable". Here the exit code is 0 only if every package was looked up
and none is known to be vulnerable; 1 if one is; 2 if any could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

DATABASES = ("osv", "pypi")
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2


@dataclass(frozen=True)
class Found:
    """What one database said about one file of requirements."""

    looked_up: int = 0
    skipped: tuple[str, ...] = ()
    vulnerable: tuple[str, ...] = field(default=())

    @property
    def code(self) -> int:
        if self.vulnerable:
            return VULNERABLE
        return UNKNOWN if self.skipped or not self.looked_up else CLEAN


def judged(told: dict[str, Any]) -> Found:
    """Counts what pip-audit's JSON says."""
    packages = told["dependencies"]
    skipped = tuple(p["name"] for p in packages if "skip_reason" in p)
    vulnerable = tuple(
        f"{p['name']} {p['version']}: {', '.join(v['id'] for v in p['vulns'])}"
        for p in packages
        if p.get("vulns")
    )
    return Found(len(packages) - len(skipped), skipped, vulnerable)


def ask(database: str, requirements: str) -> Found | str:
    """Runs pip-audit; returns what it found, or why it could not."""
    words = ["--requirement", requirements, "--vulnerability-service", database, "--format", "json"]
    more = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "15"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *words, *more], capture_output=True, text=True
    )
    try:
        return judged(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {done.returncode}"


def audit(requirements: str) -> int:
    """Asks one database after the other until one knows every package."""
    worst = UNKNOWN
    for database in DATABASES:
        found = ask(database, requirements)
        if isinstance(found, str):
            print(f"{requirements}: {database}: NOT CHECKED, the database did not answer: {found}")
            continue
        state = {CLEAN: "no known vulnerability", VULNERABLE: "VULNERABLE", UNKNOWN: "NOT CHECKED"}
        print(
            f"{requirements}: {database}: {state[found.code]}; {found.looked_up} packages looked "
            f"up, {len(found.skipped)} unknown to the database"
        )
        for line in found.vulnerable:
            print(f"    {line}")
        if found.code != UNKNOWN:
            return found.code
    return worst


def main() -> int:
    codes = [audit(name) for name in sys.argv[1:]]
    if VULNERABLE in codes:
        return VULNERABLE
    if UNKNOWN in codes or not codes:
        print("audit: not every package was looked up: this says nothing about their safety")
        return UNKNOWN
    return CLEAN


if __name__ == "__main__":
    sys.exit(main())
