"""Makes heads to draw scans from: label maps, with the lesions of real people brought into each.

python -m wmhseg.synthesis.make_heads --labels DIR [--priors DIR [--lesions DIR] [--strokes DIR]]
    --output DIR

Once for all trainings: about a quarter of a minute a head. Heads that are there already are not
made again. Where training takes a folder of label maps, it takes the folder made here as well.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from wmhseg.errors import MissingFileError
from wmhseg.synthesis import heads
from wmhseg.synthesis.population import Population, add_to, load_population


def write_heads(
    labels: Path, output: Path, population: Population | None = None, jobs: int = 1
) -> None:
    """Writes one ``.npz`` for each label map of a folder.

    Args:
        labels: Folder of label maps at 1 mm (``*.nii.gz``).
        output: Folder to write to.
        population: What to bring into each head, None for nothing.
        jobs: Heads at a time.

    Raises:
        MissingFileError: If there is no label map.
        InputError: If one cannot be read.
    """
    paths = sorted(labels.glob("*.nii.gz"))
    if not paths:
        raise MissingFileError(
            "A folder of whole-head label maps (*.nii.gz) was expected", received=labels
        )
    output.mkdir(parents=True, exist_ok=True)
    work = [(number, path) for number, path in enumerate(paths) if not _made(output, path).exists()]
    make = partial(_write_one, output=output, population=population)
    # Threads share the population, and the functions that take the time run side by side.
    with ThreadPoolExecutor(jobs) as pool:
        for name in pool.map(make, work):
            print(name, flush=True)


def _made(output: Path, path: Path) -> Path:
    return output / f"{path.name[:-7]}.npz"


def _write_one(numbered: tuple[int, Path], *, output: Path, population: Population | None) -> str:
    number, path = numbered
    head = heads.load_head(heads.read_labels(path))
    if population is not None:
        # Every other person is mirrored, others in the next head: twice as many shapes.
        people = len(population.people) + len(population.strokes)
        mirrored = [(number + person) % 2 == 1 for person in range(people)]
        head = add_to(head, population, mirrored=mirrored)
    heads.write_head(_made(output, path), head)
    return path.name


def main() -> None:
    """Parses the arguments and makes the heads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--priors", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--strokes", type=Path, help="folder of masks of infarcts in MNI space")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    if given.priors is None and (given.lesions or given.strokes):
        parser.error("--lesions and --strokes need --priors, which say where MNI space is")
    population = None
    if given.priors is not None:
        population = load_population(given.priors, given.lesions, strokes=given.strokes)
    write_heads(given.labels, given.output, population, given.jobs)


if __name__ == "__main__":
    main()
