"""How often ``wmhseg check`` is wrong about contrast, skull and coverage, where they are known.

    python -m evaluation.check_contrast --labels DIR --table FILE.csv [--pairs 1000]
        [--drawn FOLDER] [--processes N] [--resume]

Pairs are those of ``evaluation.synthetic_pairs``: harder than most real ones, as tissues may lie
anywhere within wide ranges. Each is drawn from its number, measured once, and put into the table, a
row a scan, from which limits can be chosen without drawing again; ``--resume`` goes on with a
table, ``--drawn`` keeps the scans, thinned out as ``check`` looks at them, and takes those that are
there.

Limits were chosen on even pairs alone. Printed are the rates on odd pairs, which have other heads
and other seeds, with 95 % intervals (Wilson): first of those below 320, which were in view when
what is measured was devised (validation), then of the later ones, which nobody had looked at.
"""

from __future__ import annotations

import argparse
import csv
import math
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluation import synthetic_pairs
from evaluation.synthetic_pairs import Pair
from wmhseg import errors
from wmhseg.checking import examine, judgement, voxels
from wmhseg.checking.findings import Level
from wmhseg.io import files
from wmhseg.synthesis.heads import Head, load_heads

FIELDS = ("pair", "scan", "stripped", "badly", "lost_below", "lost_above", "grey", "slice_mm",
          "kind", "share_frequent", "share_even", "skull", "filled", "height_mm", "cut_told",
          "one_stripped", "other_errors")  # fmt: skip
# Share of the brain that is lost in a cut that should be told, and in one that need not be.
LOST, WHOLE = 0.1, 0.02
_IN_VIEW = 320
_LITTLE_CONTRAST = 0.86  # cortex over white matter in T1
_CUT_TOPICS = ("coverage", "top", "bottom")


def rows(number: int, pair: Pair) -> list[dict[str, Any]]:
    """What is true and what is seen of a pair's scans, a row a scan."""
    scans = (pair.flair, pair.t1)
    looks = [voxels.look(scan) for scan in scans]
    told = examine.examine(*scans)
    others = {f.topic for f in told if f.level is Level.ERROR and f.topic != "contrast"}
    made = []
    for place, (scan, look) in enumerate(zip(scans, looks, strict=True)):
        cuts = {
            f.topic
            for f in told
            if f.scan == scan.name and f.topic in _CUT_TOPICS and f.level is Level.WARNING
        }
        made.append({
            "pair": number, "scan": scan.name, "stripped": pair.stripped, "badly": pair.badly,
            "lost_below": round(pair.lost_below, 3), "lost_above": round(pair.lost_above, 3),
            "grey": round(pair.grey[place], 3), "slice_mm": round(scan.grid.spacing_mm[0], 2),
            "kind": look.kind, "share_frequent": round(look.brighter[0], 3),
            "share_even": round(look.brighter[1], 3), "skull": look.skull, "filled": look.filled,
            "height_mm": round(look.extent_mm[0], 1), "cut_told": " ".join(sorted(cuts)),
            "one_stripped": judgement.one_stripped(looks),
            "other_errors": " ".join(sorted(others)),
        })  # fmt: skip
    return made


def measure(number: int, heads: Sequence[Head], drawn: Path | None) -> list[dict[str, Any]]:
    """The rows of a pair, drawn or taken from a folder."""
    path = None if drawn is None else drawn / f"{number:04d}.npz"
    if path is not None and path.exists():
        return rows(number, synthetic_pairs.read(path))
    pair = synthetic_pairs.thinned(
        synthetic_pairs.draw(number, heads[number % 2 :: 2] if len(heads) > 1 else heads)
    )
    if path is not None:
        synthetic_pairs.write(path, pair)
    return rows(number, pair)


# Rates -------------------------------------------------------------------------------------------


def interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    reach = z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2)) / (1 + z**2 / of)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def looks_like_t1(row: dict[str, str]) -> bool:
    """Whether a FLAIR file that looks like this is stopped."""
    sure = row["kind"] == "T1" and max(shares(row)) < judgement.SURELY_T1
    return sure and "top" not in row["cut_told"]


def look_exchanged(flair: dict[str, str], t1: dict[str, str]) -> bool:
    """Whether a pair of FLAIR file and T1 file that look like this is stopped."""
    low, high = judgement.EXCHANGED
    kinds = (flair["kind"], t1["kind"]) == ("T1", "FLAIR")
    cut = "top" in flair["cut_told"] + t1["cut_told"]
    return kinds and not cut and max(shares(flair)) < low and min(shares(t1)) > high


def shares(row: dict[str, str]) -> tuple[float, float]:
    """Shares of brighter tissue."""
    return float(row["share_frequent"]), float(row["share_even"])


def rates(table: Sequence[dict[str, str]]) -> Iterator[tuple[str, int, int]]:
    """What is stopped or told in a table's rows, and of how many."""
    flair = [row for row in table if row["scan"] == "FLAIR"]
    t1 = [row for row in table if row["scan"] == "T1"]

    def of(name: str, chosen: Sequence[dict[str, str]], key: str, *values: str) -> Any:
        wanted = [row for row in chosen if (row[key] in values if values else row[key])]
        return name, len(wanted), len(chosen)

    pairs = list(zip(flair, t1, strict=True))
    low = [row for row in t1 if float(row["grey"]) > _LITTLE_CONTRAST]
    right = [looks_like_t1(f) or look_exchanged(f, t) for f, t in pairs]
    wrong = [looks_like_t1(t) or look_exchanged(t, f) for f, t in pairs]
    yield "wrongly stopped: FLAIR alone", sum(map(looks_like_t1, flair)), len(flair)
    yield "wrongly stopped: pair in order", sum(right), len(pairs)
    yield of("wrongly stopped: for another reason", flair, "other_errors")
    yield "rightly stopped: T1 alone as FLAIR", sum(map(looks_like_t1, t1)), len(t1)
    yield "  of these T1 with hardly any contrast", sum(map(looks_like_t1, low)), len(low)
    yield "rightly stopped: pair exchanged", sum(wrong), len(pairs)
    for name, chosen in (("FLAIR", flair), ("T1", t1)):
        for kind in ("FLAIR", "T1", "T2 or PD", "unknown"):
            yield of(f"{name} called {kind}", chosen, "kind", kind)
        own = {"both, one mask", "both, own masks", f"{name} alone"}
        bare = [row for row in chosen if row["stripped"] in own]
        whole = [row for row in chosen if row["stripped"] not in own]
        yield of(f"{name} without skull: called with", bare, "skull", "True")
        yield of(f"{name} without skull: cannot tell", bare, "skull", "None")
        yield of(f"{name} with skull: called without", whole, "skull", "False")
        yield of(f"{name} with skull: cannot tell", whole, "skull", "None")
    for way in ("neither", "both, one mask", "both, own masks", "FLAIR alone", "T1 alone"):
        chosen = [row for row in flair if row["stripped"] == way]
        yield of(f"stripped {way}: called one of two", chosen, "one_stripped", "True")
        yield of(f"stripped {way}: cannot tell", chosen, "one_stripped", "None")
    for name, chosen in (("FLAIR", flair), ("T1", t1)):
        lost = [float(row["lost_below"]) + float(row["lost_above"]) for row in chosen]
        most = [row for row, share in zip(chosen, lost, strict=True) if share > LOST]
        least = [row for row, share in zip(chosen, lost, strict=True) if share < WHOLE]
        yield of(f"{name} without a tenth of the brain: told", most, "cut_told")
        yield of(f"{name} with (nearly) the whole brain: told", least, "cut_told")


def summary(table: Sequence[dict[str, str]]) -> Iterator[str]:
    """The rates of odd pairs in words."""
    odd = [row for row in table if int(row["pair"]) % 2]
    for known in (True, False):
        kept = [row for row in odd if (int(row["pair"]) < _IN_VIEW) == known]
        yield f"{len(kept) // 2} odd pairs that {'were in view' if known else 'nobody had seen'}"
        for name, count, total in rates(kept):
            low, high = interval(count, total)
            share = count / max(1, total)
            yield f"{name:<46}{count:>4} of {total:<4} {share:6.1%} ({low:.1%} to {high:.1%})"


# The command -------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.check_contrast",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--labels", type=Path, required=True, help="label maps or prepared heads")
    parser.add_argument("--table", type=Path, required=True, help="table to write or go on with")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--drawn", type=Path, help="folder to keep the thinned scans in")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="keep the table's rows")
    given = parser.parse_args(argv)
    try:
        table = _table(given)
    except errors.WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(summary(table)))
    return errors.EXIT_OK


def _table(given: argparse.Namespace) -> list[dict[str, str]]:
    """The table's rows, with all that was missing."""
    table: list[dict[str, str]] = []
    if given.resume and given.table.exists():
        with given.table.open(newline="") as file:
            table = list(csv.DictReader(file))
    done = {int(row["pair"]) for row in table}
    missing = [number for number in range(given.pairs) if number not in done]
    if not missing:
        return table
    if given.drawn is not None:
        given.drawn.mkdir(parents=True, exist_ok=True)
    there = given.drawn is not None and all(
        (given.drawn / f"{number:04d}.npz").exists() for number in missing
    )
    heads = [] if there else load_heads(given.labels)
    work = partial(measure, heads=heads, drawn=given.drawn)
    with multiprocessing.get_context("fork").Pool(given.processes) as pool:
        for made in pool.imap(work, missing):
            table += [{key: str(row[key]) for key in FIELDS} for row in made]
            if len(table) % 40 == 0 or int(table[-1]["pair"]) == missing[-1]:
                _write(given.table, table)
    return table


def _write(path: Path, table: Sequence[dict[str, str]]) -> None:
    lines = [",".join(FIELDS)]
    lines += [",".join(f'"{row[key]}"' if "," in row[key] else row[key] for key in FIELDS)
              for row in table]  # fmt: skip
    files.write_text(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
