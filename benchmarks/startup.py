"""Seconds that "import wmhseg" and "wmhseg --help" take, against Python's own start-up.

python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import wmhseg": ["-c", "import wmhseg"],
    "wmhseg --help": ["-m", "wmhseg", "--help"],
}


def main(rounds: int = 15) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - started)
    print(f"| command | median s of {rounds} | slowest |\n|---|---|---|")
    for name, values in seconds.items():
        print(f"| `{name}` | {statistics.median(values):.3f} | {max(values):.3f} |")


if __name__ == "__main__":
    main()
