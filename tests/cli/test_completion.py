"""Completion in a real bash: the functions are loaded, and asked as the Tab key asks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# What bash sets before it calls the function that completes.
_ASK = """
PATH="{folder}:$PATH"
eval "$(wmhseg completion bash)"
COMP_LINE="$1"; COMP_POINT=${{#1}}; COMP_TYPE=9; COMP_WORDS=($1); COMPREPLY=()
_python_argcomplete wmhseg
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("wmhseg seg", {"segment"}),
        ("wmhseg segment --eng", {"--engine"}),
        ("wmhseg segment --engine ", {"auto", "keras", "openvino"}),
        ("wmhseg segment --model b", {"bright", "bright-flair", "bright-needs-t1"}),
        ("wmhseg completion ", {"bash", "zsh", "fish", "tcsh", "powershell", "-h", "--help"}),
    ],
)
def test_bash_completes(line: str, offered: set[str], tmp_path: Path, use_models: Path) -> None:
    program = tmp_path / "wmhseg"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m wmhseg "$@"\n')
    program.chmod(0o755)
    asked = subprocess.run(
        ["bash", "-c", _ASK.format(folder=tmp_path), "bash", line],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert offered <= {word.strip() for word in asked.stdout.splitlines()}, asked.stderr
    assert "wmhseg: error" not in asked.stdout
