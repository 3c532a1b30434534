"""The audit calls a package safe only if a database knew it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parent / "supply" / "audit.py"
    spec = importlib.util.spec_from_file_location("supply_audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "supply_audit", module)
    spec.loader.exec_module(module)
    return module


GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code"),
    [([GOOD], 0), ([GOOD, BAD], 1), ([BAD, SKIPPED], 1), ([GOOD, SKIPPED], 2), ([], 2)],
)
def test_codes(
    audit: ModuleType, packages: list[Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps({"dependencies": packages})

    class Done:
        stdout, stderr, returncode = text, "", 0

    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: Done)
    assert audit.audit("r.txt") == code


def test_a_database_that_does_not_answer(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Done:
        stdout, stderr, returncode = "", "trace\nno route to host", 1

    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: Done)
    monkeypatch.setattr(audit.sys, "argv", ["audit.py", "r.txt"])
    assert audit.main() == audit.UNKNOWN
    assert "NOT CHECKED" in capsys.readouterr().out
