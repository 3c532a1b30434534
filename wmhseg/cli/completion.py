"""The command that prints a shell's completion: completion."""

from __future__ import annotations

import argparse

from wmhseg import errors
from wmhseg.cli.parser import examples


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_completion)
    examples(parser, "completion bash", "completion zsh")
    parser.add_argument(
        "shell",
        choices=("bash", "zsh", "fish", "tcsh", "powershell"),
        help='which shell; in bash: eval "$(wmhseg completion bash)"',
    )


def _completion(arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["wmhseg"], shell=arguments.shell))
    return errors.EXIT_OK


COMMANDS = {"completion": _add_arguments}
