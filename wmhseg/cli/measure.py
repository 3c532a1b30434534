"""The command that measures an existing result: measure."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import console_of, print_json_text
from wmhseg.cli.options import command_line
from wmhseg.cli.parser import examples, share

if TYPE_CHECKING:
    from wmhseg.measuring.reading import Paths
    from wmhseg.measuring.scene import Scene, Wanted


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_measure)
    examples(
        parser,
        "measure --flair FLAIR.nii.gz --mask wmh.nii.gz --output measures",
        "measure --flair FLAIR.nii.gz --mask wmh.nii.gz --probability p.nii.gz "
        "--anatomy auto --output measures",
        "measure --flair FLAIR.nii.gz --mask wmh.nii.gz --t1 T1.nii.gz --fill-t1 --mni "
        "--output measures",
    )
    parser.add_argument("--flair", required=True, metavar="F", help="FLAIR scan, NIfTI")
    parser.add_argument(
        "--mask", required=True, metavar="M", help="mask of WMH on FLAIR's voxels, 0 and 1"
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder to write to (docs/measures.md)"
    )
    add_known(parser)
    made = parser.add_argument_group("what else to make")
    made.add_argument("--mni", action="store_true", help="mask and FLAIR in MNI space, 1 mm")
    made.add_argument(
        "--fill-t1",
        action="store_true",
        help="T1 with its lesions filled like the white matter around, on its own voxels",
    )
    made.add_argument("--json", action="store_true", help="print the measures as JSON")


def add_known(parser: argparse.ArgumentParser) -> None:
    """Adds what commands about a result take besides FLAIR and mask.

    Args:
        parser: The command's.
    """
    known = parser.add_argument_group("what else is known")
    known.add_argument(
        "--probability", metavar="P", help="probability map of the mask, on FLAIR's voxels"
    )
    known.add_argument(
        "--members",
        nargs="+",
        default=[],
        metavar="P",
        help="probability maps of the members of the ensemble, on FLAIR's voxels",
    )
    known.add_argument(
        "--threshold",
        type=share,
        metavar="P",
        help="by which the mask was made, and members mark (default: as the report beside the "
        "mask says, else 0.5)",
    )
    known.add_argument("--t1", metavar="T1", help="T1 scan of the same head, NIfTI")
    known.add_argument(
        "--anatomy",
        metavar="auto|FILE",
        help="auto: the model anatomy-synthetic names it, from FLAIR and T1; FILE: its labels on "
        "FLAIR's voxels (docs/measures.md); without, places and shares are left out",
    )
    known.add_argument(
        "--anatomy-numbers",
        choices=("own", "freesurfer"),
        default="own",
        help="what its numbers mean; freesurfer: aseg, aparc+aseg, SynthSeg",
    )
    known.add_argument(
        "--exclude",
        metavar="FILE",
        help="mask (infarct, tumour, surgery) on FLAIR's voxels, inside which nothing counts",
    )
    known.add_argument("--atlas", metavar="FILE", help="label map of regions to count in")
    known.add_argument(
        "--atlas-labels", metavar="TSV", help="table of its labels: columns index and name"
    )
    known.add_argument(
        "--atlas-space",
        choices=("auto", "flair", "t1", "mni"),
        default="auto",
        help="what its places mean; auto: as its voxels or its header tell",
    )


def paths_of(arguments: argparse.Namespace) -> Paths:
    """The files that were given with ``--flair``, ``--mask`` and ``add_known``."""
    from wmhseg.measuring.reading import Paths

    names = ("probability", "t1", "anatomy", "exclude", "atlas", "atlas_labels")
    given = {name: getattr(arguments, name) for name in names}
    return Paths.given(arguments.flair, arguments.mask, arguments.members, given)


def scene_of(arguments: argparse.Namespace, paths: Paths, wanted: Wanted) -> Scene:
    """What the files hold that were given with ``add_known``; shows how far the network is.

    Args:
        arguments: Of the command.
        paths: As of ``paths_of``.
        wanted: What is to be made.
    """
    from wmhseg.measuring import reading

    read = partial(
        reading.read,
        paths,
        wanted,
        threshold=arguments.threshold,
        numbers=arguments.anatomy_numbers,
        atlas_space=arguments.atlas_space,
    )
    if not paths.name_structures:
        return read()
    with console_of(arguments).progress("naming structures", "slices") as show:
        return read(progress=show)


def _measure(arguments: argparse.Namespace) -> int:
    from wmhseg.io import files
    from wmhseg.measuring import content, measure, saving
    from wmhseg.measuring.scene import Wanted
    from wmhseg.reporting.provenance import Provenance, scan_file
    from wmhseg.reporting.report import NOT_A_DEVICE

    console, paths, output = console_of(arguments), paths_of(arguments), Path(arguments.output)
    wanted = Wanted(mni=arguments.mni, filled_t1=arguments.fill_t1)
    targets = saving.outputs(
        output,
        wanted,
        curve=paths.probability is not None,
        regions=paths.atlas is not None,
        anatomy=paths.name_structures,
    )
    with files.without_empty_folders(output):
        files.check_outputs([*targets.values(), output / saving.REPORT], inputs=list(paths))
        scene = scene_of(arguments, paths, wanted)
        found = measure.measure(scene, wanted)
        inputs = {name: scan_file(path) for name, path in paths.named().items()}
        provenance = Provenance(inputs, command=command_line(arguments))
        removed = saving.save(found, output, provenance)
    for warning in found.warnings:
        console.warn(warning)
    if removed:
        console.say(f"removed      {', '.join(map(str, removed))} (of the earlier result)")
    if arguments.json:
        print_json_text((output / saving.REPORT).read_text("utf-8"))
    else:
        print("\n".join(content.to_lines(found)))
        print(f"written      {output}")
    console.say(NOT_A_DEVICE)
    return errors.EXIT_OK


COMMANDS = {"measure": _add_arguments}
