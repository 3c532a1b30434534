"""Asks a detector of the fake what gives synthetic scans away.

    python -m evaluation.realism --data DIR --labels HEADS --output DIR [--round NAME]

DIR holds ``cases``, ``raw`` and ``healthy`` (see ``sources.py``); HEADS are prepared heads or label
maps. What is there already in OUTPUT is not computed again: real scans once, synthetic ones once a
recipe. ``--round`` keeps the judgement under a name; the table of all rounds is written to
OUTPUT/rounds.md.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from evaluation.realism import detector, fakes, keeping, patches, report, sources
from evaluation.realism.detector import Judgement, Sample
from evaluation.realism.fakes import PlacedHead
from evaluation.realism.keeping import Named
from evaluation.realism.patches import Patches
from evaluation.realism.sources import SOURCES, Source
from evaluation.realism.views import View
from wmhseg import records
from wmhseg.errors import WmhsegError
from wmhseg.io import files
from wmhseg.io.progress import Bar
from wmhseg.synthesis import recipe as recipes
from wmhseg.synthesis.heads import head_files
from wmhseg.synthesis.recipe import Recipe

# Patches of a region that are taken from a real and from a synthetic scan.
REAL_PATCHES, FAKE_PATCHES = 60, 20
SLICES, FIELD = 12, (200, 168)
Placing = Callable[[Path, Path], PlacedHead]
RECIPES = {"default": Recipe(), **recipes.NAMED}


def drawn(given: argparse.Namespace, recipe: Recipe, kept: Path) -> Iterator[tuple[str, Patches]]:
    """Patches of the synthetic scans, by source; heads are loaded one after the other."""
    folder = kept / "synthetic" / digest(recipe)
    heads = head_files(given.labels)[: given.heads]
    every = [(p, n) for p in range(len(SOURCES)) for n in range(given.scans)]
    for turn, path in enumerate(heads):
        placed = functools.lru_cache(fakes.placed_head)  # not loaded if all is there
        for place, number in every:
            if (number + 3 * place) % len(heads) != turn:
                continue

            def make(place: int, number: int, path: Path, placed: Placing) -> Named:
                view = fakes.draw(
                    placed(path, kept / "heads"), SOURCES[place], recipe, 1000 * place + number
                )
                rng = np.random.default_rng([fakes.SEED, place, number])
                return vars(patches.take(view, FAKE_PATCHES, rng))

            source = SOURCES[place].name
            file = folder / f"{source.replace(', ', '-')}-{number}.npz"
            made = functools.partial(make, place, number, path, placed)
            yield source, Patches(**keeping.kept(file, made))


def seen(folder: Path, source: Source, kept: Path) -> View:
    """A real scan as the detector looks at it."""
    file = kept / "views" / version("views", "sources") / f"{folder.parent.name}-{folder.name}.npz"
    return View(**keeping.kept(file, lambda: vars(sources.read(folder, source))))


def real(given: argparse.Namespace, kept: Path) -> Iterator[tuple[str, Patches]]:
    """Patches of the real scans, by source."""
    taken_at = kept / "real" / version("features", "views", "patches", "sources")
    for source in SOURCES:
        for number, folder in enumerate(source.scans(given.data)):

            def make(folder: Path, source: Source, number: int) -> Named:
                rng = np.random.default_rng([fakes.SEED, number])
                return vars(patches.take(seen(folder, source, kept), REAL_PATCHES, rng))

            file = taken_at / f"{folder.parent.name}-{folder.name}.npz"
            made = functools.partial(make, folder, source, number)
            yield source.name, Patches(**keeping.kept(file, made))


def version(*modules: str) -> str:
    """Changes with the modules that something kept was made by."""
    text = b"".join((Path(__file__).parent / f"{name}.py").read_bytes() for name in modules)
    return hashlib.sha256(text).hexdigest()[:8]


def digest(recipe: Recipe) -> str:
    """Changes with the recipe, with what draws by it, and with what is kept of a scan."""
    own = Path(recipes.__file__).parent
    text = b"".join(path.read_bytes() for path in sorted(own.glob("*.py")))
    text += records.dumps(recipe).encode()
    text += version("features", "views", "patches", "sources", "fakes").encode()
    return hashlib.sha256(text).hexdigest()[:12]


def judged(given: argparse.Namespace, recipe: Recipe) -> Judgement:
    """Takes all patches and asks the detector."""
    kept = given.output / "kept"
    found: dict[str, tuple[list[Patches], list[Patches]]] = {s.name: ([], []) for s in SOURCES}
    with Bar("real scans", "scans") as show:
        total = sum(len(source.scans(given.data)) for source in SOURCES)
        for done, (name, one) in enumerate(real(given, kept), start=1):
            found[name][0].append(one)
            show(done, total)
    with Bar("synthetic scans", "scans") as show:
        for done, (name, one) in enumerate(drawn(given, recipe, kept), start=1):
            found[name][1].append(one)
            show(done, given.scans * len(SOURCES))
    samples = {name: Sample(*kinds) for name, kinds in found.items() if kinds[0]}
    return detector.judge(samples)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.realism",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="prepared heads or label maps")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=8, help="synthetic scans a source")
    parser.add_argument("--heads", type=int, default=8, help="heads that they are drawn from")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="default")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=NUMBER", dest="changes")
    parser.add_argument("--round", default=None, help="keep the judgement under this name")
    given = parser.parse_args(argv)
    try:
        files.check_writable(given.output)
        changes = dict(change.split("=", 1) for change in given.changes)
        recipe = replace(RECIPES[given.recipe], slices=SLICES, field=FIELD,
                         **{name: float(value) for name, value in changes.items()})  # fmt: skip
        judgement = judged(given, recipe)
        rounds = given.output / "rounds"
        if given.round is not None:
            files.check_writable(rounds)
            text = records.json_text(asdict(judgement))
            files.write_text(rounds / f"{given.round}.json", text)
            files.write_text(given.output / "rounds.md", report.rounds(report.read(rounds)))
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(report.one(judgement))
    return 0


if __name__ == "__main__":
    sys.exit(main())
