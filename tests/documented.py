"""The commands and Python examples that README and docs show: found, and made ready to be run.

Whoever writes docs: a fenced block without a language (or ``sh``) holds one command a line; output,
files and the like stand in a block ``text``, ``json`` and so on; Python in a block ``python``. A
command that nothing here knows fails the test, and needs a line in RULES.

The standard library is enough for this module: it also runs in environments that hold no more than
what the docs tell to install.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "evaluation/*.md",
    "evaluation/*/*.md",
    "benchmarks/*.md",
    "models/*/*.md",
)
COMMAND_LANGUAGES = {"", "sh", "bash", "shell", "console"}

# In one word, what is done with a command: "run" it in a folder of small data, "parse" its words
# with its own parser, look "make", "docker" and "pip" up in the files that these read, or take it
# as work of the "shell".
RULES: tuple[tuple[str, str, str], ...] = (
    (r"wmhseg( challenge\b.*)?$", "parse", "/input is in the image: tests/container runs it there"),
    (r"wmhseg train .*--config", "parse", "trains real networks for days"),
    (r"wmhseg train .*--preset synthetic-(mixed|anatomy)", "parse", "grows from finished U-Nets"),
    (r"wmhseg train .*--preset published-(uresnet|location)", "parse", "needs stroke, or a brain"),
    (r"wmhseg train .*--preset refine", "parse", "tests/training/test_refining.py runs it"),
    (r"wmhseg segment --model out-mine/mine ", "parse", "of a model that is not made here"),
    (r"wmhseg measure .*--mni", "parse", "needs a whole head: tests/cli/test_measure.py runs it"),
    (r"wmhseg slurm ", "parse", "asks for more tasks than there are small data: tests/clusters"),
    (r"wmhseg batch .*--dask ", "parse", "needs a cluster: tests/clusters starts one"),
    (r"wmhseg report .*--group", "parse", "tests/html_report/test_group.py runs it"),
    (r"wmhseg models (get|remove)\b", "parse", "tests/fetching runs them against a server"),
    (r"python -m wmhseg\.fetching\.pack", "parse", "of real models: tests/fetching runs it"),
    (r"wmhseg batch .*--(shard|collect)", "parse", "tests/batch/test_shards.py runs it"),
    (r"wmhseg (--)?[a-z]+", "run", ""),
    (r"python -m wmhseg\.synthesis\.make_heads .*--priors", "parse", "needs maps in MNI space"),
    (r"python -m wmhseg\.synthesis\.", "run", ""),
    (r"python -m evaluation\.run (?!.*--challenge)", "run", ""),
    (r"python -m (evaluation|benchmarks)\.", "parse", "minutes to hours; has tests of its own"),
    (r"python -m docs\.site\.", "parse", "tests/test_site.py and test_promised.py do as they do"),
    (r"python tests/sandbox\.py ", "shell", "runs all of these"),
    (r"make [a-z]", "make", "the gate itself, or hours"),
    (r"apptainer (build|run) ", "shell", "no Apptainer here: tests/test_definitions.py"),
    (r"docker [a-z]", "docker", "needs a container engine: tests/container runs such commands"),
    (r"pip install ", "pip", "tests/test_environments.py installs all of them"),
    (r"(mkdir|cd|git clone|apt install|apt-get install|python3? -m venv|source|\.|mv|cp|ls"
     r"|dcm2niix|sbatch|datalad|babs) ", "shell", "not ours"),
)  # fmt: skip

# Placeholders of the docs that mean another thing after some options; the others are names of
# files and folders that the sandbox has.
AFTER = {
    ("--output", "DIR"): "made",
    ("--output", "OUTPUT"): "made",
    ("--results", "DIR"): "results",
    ("--models", "A"): "unet-synthetic",
    ("--model", "NAME"): "unet-synthetic",
    ("--preset", "NAME"): "synthetic",
    ("--model", "FOLDER"): "models/unet-synthetic",
    ("--data", "first"): "CASES",
}
ANYWHERE = {
    "B": "",
    "N": "2",
    "T": "1.5",
    "NAME": "unet-synthetic",
    "TABLE|DIR": "DIR",
    # Tables of two models.
    "DIR/seed-401/default-recipe/metrics.csv": "a/metrics.csv",
    "DIR/seed-401/realistic/metrics.csv": "b/metrics.csv",
    # The case of "wmhseg demo", of fewer slices.
    "first/input/pre/FLAIR.nii.gz": "FLAIR.nii.gz",
    "first/input/pre/T1.nii.gz": "T1.nii.gz",
    "first/input/wmh.nii.gz": "wmh.nii.gz",
    "…": "",
    # Less work of the same kind; nothing of the tiny networks is in a U-Net's file.
    "1.h5": "",
    "2.h5": "",
    "runs.0.steps=20000": "runs.0.steps=2",
    "runs.*.crop=64": "runs.*.crop=48",
    "runs.*.start_from=models/unet-synthetic/0.safetensors": "runs.*.batch=2",
    "runs.1.start_from=models/unet-synthetic/0.safetensors": 'runs.1.start_from="0"',
}
MORE = {"wmhseg.synthesis.contact_sheet": ["--scans", "1"]}

# Commands that no page shows whole, and all that can be asked for help.
SMALLEST = (
    "wmhseg --version",
    "wmhseg completion bash",
    "wmhseg demo --output demo",
    "wmhseg demo --output demo-case --case-only",
    "wmhseg challenge --input CASES/1 --output challenge",
    "wmhseg segment --flair F.nii.gz --t1 T.nii.gz --output s.nii.gz --overlay s.png "
    "--probability p.nii.gz",
    "wmhseg BIDS derivatives participant --participant-label 01",
    "wmhseg train --labels LABELS --check --output checked",
    "wmhseg train --data DIR --print-plan",
    "wmhseg check F.nii.gz T.nii.gz",
    "wmhseg models",
    "python -m wmhseg.synthesis.make_heads --labels LABELS --output heads",
)
# The smallest cases of what README.md shows besides, for environments that do without that page.
BESIDES = (
    "wmhseg batch DIR --output batch",
    "wmhseg measure --flair F.nii.gz --t1 T.nii.gz --mask s.nii.gz --probability p.nii.gz "
    "--anatomy auto --output measured",
    "wmhseg report --flair F.nii.gz --t1 T.nii.gz --mask s.nii.gz --output s.html",
    "wmhseg evaluate --data DIR --results results --output scores --jobs 2",
    "wmhseg rank metrics.csv",
    "wmhseg compare a/metrics.csv b/metrics.csv",
)
COMMANDS = (
    *("segment", "challenge", "models", "check", "batch", "slurm", "bids", "measure"),
    *("report", "evaluate", "rank", "compare", "train", "demo", "completion"),
)


@dataclass(frozen=True)
class Command:
    """A command line that a page shows.

    Attributes:
        page: File, from the root of the repository.
        words: As a shell parts them, without comments, placeholders as they are.
        whole: False if it is only spoken of, within a sentence: words may be missing.
    """

    page: str
    words: tuple[str, ...]
    whole: bool = True

    def __str__(self) -> str:
        """The page and the command."""
        return f"{self.page}: {shlex.join(self.words)}"

    @property
    def rule(self) -> str | None:
        """What is done with it; None if no rule knows it."""
        line = " ".join(self.words)
        return next((how for pattern, how, _ in RULES if re.match(pattern, line)), None)

    def filled(self) -> list[str]:
        """The words with what the sandbox has in place of placeholders."""
        words: list[str] = []
        for word in self.words:
            word = word.strip("[]")
            before = words[-1] if words else ""
            word = AFTER.get((before, word), ANYWHERE.get(word, word))
            if word:
                words.append(re.sub(r"^/data/", "data/", word))
        return words + MORE.get(words[2] if len(words) > 2 else "", [])


@dataclass(frozen=True)
class Example:
    """A block of Python that a page shows."""

    page: str
    code: str


def pages(root: Path = ROOT) -> list[Path]:
    """All pages of the documentation that are there."""
    return [path for pattern in PAGES for path in sorted(root.glob(pattern))]


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block."""
    for found in re.finditer(r"^( *)```(\w*)\n(.*?)^\1```", text, re.M | re.S):
        yield found[2], found[3]


def _without_blocks(text: str) -> str:
    return re.sub(r"^( *)```\w*\n.*?^\1```", "", text, flags=re.M | re.S)


def _indented(text: str) -> Iterator[str]:
    """Blocks that stand four columns in after an empty line, outside of lists."""
    block: list[str] = []
    before = ""
    for line in [*_without_blocks(text).splitlines(), ""]:
        if line.startswith("    ") and (block or not before.strip()):
            block.append(line[4:])
        elif block:
            yield "\n".join(block)
            block = []
        before = line


def _lines(block: str) -> Iterator[tuple[str, ...]]:
    """The commands of a block, each as words."""
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        if words:
            yield tuple(words)


def commands(page: Path, root: Path = ROOT) -> list[Command]:
    """Every command of a page, in order: of blocks first, then those that sentences hold."""
    text, name = page.read_text("utf-8"), page.relative_to(root).as_posix()
    shown = [content for language, content in _blocks(text) if language in COMMAND_LANGUAGES]
    found = [Command(name, words) for block in shown for words in _lines(block)]
    for block in _indented(text):
        indented = [Command(name, words) for words in _lines(block)]
        found += [one for one in indented if one.rule]
    for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", _without_blocks(text)):
        line = " ".join(span.split())
        if re.match(r"(wmhseg|python3? -m|make|docker) \S", line):
            (words,) = _lines(line)
            found.append(Command(name, words, whole=False))
    return found


def examples(page: Path, root: Path = ROOT) -> list[Example]:
    """Every block of Python of a page."""
    name = page.relative_to(root).as_posix()
    blocks = _blocks(page.read_text("utf-8"))
    return [Example(name, content) for language, content in blocks if language == "python"]
