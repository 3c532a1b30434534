"""The command that segments one pair of scans: segment."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import Console, console_of, print_json_text
from wmhseg.cli.options import add_running, command_line, model_of, options_of
from wmhseg.cli.parser import examples
from wmhseg.segmentation.options import Options

if TYPE_CHECKING:
    from wmhseg.html_report.facts import Facts
    from wmhseg.segmentation.result import Segmentation


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_segment)
    examples(
        parser,
        "segment --flair FLAIR.nii.gz --t1 T1.nii.gz --output wmh.nii.gz --overlay wmh.png",
        "segment --flair FLAIR.nii.gz --output wmh.nii.gz --probability p.nii.gz",
        "segment --model stacknet-synthetic --flair FLAIR.nii.gz --output wmh.nii.gz",
    )
    parser.add_argument("--flair", required=True, metavar="F", help="FLAIR scan, NIfTI")
    parser.add_argument("--t1", metavar="T1", help="T1 scan of the same head, NIfTI")
    parser.add_argument(
        "--output",
        required=True,
        metavar="O",
        help="mask to write, .nii.gz or .nii; replaces an earlier one",
    )
    parser.add_argument("--probability", metavar="P", help="probability map to write as well")
    parser.add_argument(
        "--members",
        metavar="P",
        help="probability map of each network to write as well: P.nii.gz stands for P_0.nii.gz, "
        "P_1.nii.gz and so on",
    )
    parser.add_argument(
        "--overlay",
        metavar="PICTURE",
        help="picture of the result to write as well (docs/picture.md): .png, one page, or .pdf, "
        "all slices with marks",
    )
    parser.add_argument(
        "--report", metavar="HTML", help="page about the result to write as well (docs/report.md)"
    )
    parser.add_argument("--mask-on-t1", metavar="M", help="mask on the T1 grid to write as well")
    parser.add_argument(
        "--stroke",
        metavar="S",
        help='mask of stroke to write as well, for a model that marks it (see "wmhseg models")',
    )
    add_running(parser)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one segmentation.

    Attributes:
        flair: Scan to read.
        t1: Scan to read, None for FLAIR alone.
        output: Mask to write; the report goes beside it.
        probability: Probability map to write, if any.
        overlay: Picture to write, if any.
        mask_on_t1: Mask on the T1 scan's grid to write, if any.
        others: Label besides WMH -> its mask to write.
        page: Page about the result to write, if any.
        members: Probability maps of single networks to write, if any: what stands before their
            names, with the ending.
    """

    flair: Path
    t1: Path | None
    output: Path
    probability: Path | None = None
    overlay: Path | None = None
    mask_on_t1: Path | None = None
    others: Mapping[str, Path] = field(default_factory=dict)
    page: Path | None = None
    members: Path | None = None

    def inputs(self) -> Iterator[Path]:
        """All scans."""
        yield from (path for path in (self.flair, self.t1) if path is not None)

    def of_members(self, names: Iterable[str]) -> dict[str, Path]:
        """Name of a network -> its probability map to write."""
        if self.members is None:
            return {}
        from wmhseg.io import volume_files

        return {name: volume_files.beside(self.members, name) for name in names}

    def outputs(self) -> Iterator[Path]:
        """All that is written beside the report and maps of networks, the mask first."""
        extra = (self.probability, self.overlay, self.mask_on_t1, *self.others.values(), self.page)
        yield from (path for path in (self.output, *extra) if path is not None)


def _segment(arguments: argparse.Namespace) -> int:
    names = ("t1", "probability", "overlay", "mask_on_t1", "members")
    given = {name: getattr(arguments, name) for name in names}
    case = CaseFiles(
        flair=Path(arguments.flair),
        output=Path(arguments.output),
        others={"stroke": Path(arguments.stroke)} if arguments.stroke else {},
        page=Path(arguments.report) if arguments.report else None,
        **{name: Path(path) if path else None for name, path in given.items()},
    )
    options = options_of(arguments)
    if case.page is not None:  # it tells how far networks agree, and where lesions lie
        options = replace(options, members=True, anatomy=True)
    elif case.members is not None:
        options = replace(options, members=True)
    segment_case(case, model_of(arguments), options, arguments)
    return errors.EXIT_OK


def segment_case(
    case: CaseFiles, model: str, options: Options, arguments: argparse.Namespace
) -> None:
    """Segments a case, writes the result and prints the report.

    Args:
        case: The files.
        model: Name or folder of a model.
        options: How to run.
        arguments: Of the command: what to print, and the words for the report.

    Raises:
        WmhsegError: One of its children; nothing is written then.
    """
    from wmhseg.io import files, pictures, volume_files
    from wmhseg.reporting import report
    from wmhseg.segmentation import ensemble
    from wmhseg.weights import store

    console = console_of(arguments)
    for volume in (
        case.output, case.probability, case.mask_on_t1, case.members, *case.others.values()
    ):  # fmt: skip
        if volume is not None:
            volume_files.check_volume_name(volume)
    if case.overlay is not None:
        pictures.check_picture_name(case.overlay)
    if case.page is not None:
        from wmhseg.html_report import single  # here: it loads what only a page needs

        single.check_name(case.page)
    own = case.of_members(ensemble.member_names(store.find(model).preset))
    targets = [*case.outputs(), *own.values(), report.path_beside(case.output)]
    with files.without_empty_folders(*(target.parent for target in targets)):
        files.check_outputs(targets, inputs=list(case.inputs()))
        result = _computed(case, model, options, console)
        result = replace(result, report=result.report.with_command(command_line(arguments)))
        result, about = _with_page(result, case, console)
        replaced = [str(target) for target in targets if target.exists()]
        with files.together():
            if case.page is not None and about is not None:
                single.write(case.page, about)
            removed = result.save(
                case.output, case.probability, case.overlay, case.mask_on_t1, case.others, own
            )
    if replaced:
        console.say(f"replaced     {', '.join(replaced)}")
    if removed:
        console.say(f"removed      {', '.join(map(str, removed))} (of the earlier result)")
    if arguments.json:
        print_json_text(report.path_beside(case.output).read_text("utf-8"))
    else:
        for line in result.report.to_lines():
            print(line)
        print(f"written      {', '.join(map(str, (*case.outputs(), *own.values())))}")
    console.say(report.NOT_A_DEVICE)


def _with_page(
    result: Segmentation, case: CaseFiles, console: Console
) -> tuple[Segmentation, Facts | None]:
    """The result whose report names its page, and what that page tells; None without one.

    Says what speaks against the measures that the page needs.
    """
    if case.page is None:
        return result, None
    from wmhseg.html_report import of_result

    told, about = of_result.with_page(result, case.output, case.page, case.output.name)
    for warning in told.report.warnings:
        if warning not in result.report.warnings:
            console.warn(warning)
    return told, about


def _computed(case: CaseFiles, model: str, options: Options, console: Console) -> Segmentation:
    """Segments a case and says what is to be said meanwhile."""
    from wmhseg.segmentation import pipeline
    from wmhseg.weights import store

    chosen = store.find(model)
    store.check_marked(chosen, case.others)
    if case.mask_on_t1 is not None and (case.t1 is None or not chosen.preset.takes_t1):
        why = "no --t1" if case.t1 is None else f"model {chosen.preset.name}, which takes no T1"
        raise errors.UsageError("--mask-on-t1 needs a T1 that is used", received=why)
    if console.verbose:
        console.say(f"model        {chosen.preset.name} in {chosen.folder}")
        console.say(f"FLAIR        {case.flair}")
        console.say(f"T1           {case.t1 or 'none'}")
    segmenter = pipeline.Segmenter(chosen, options)
    with console.progress("preparing") as show:
        loaded = segmenter.load(case.flair, case.t1, progress=show)
    if case.mask_on_t1 is not None and not loaded.has_t1:
        raise errors.UsageError("--mask-on-t1 needs a T1 that matches FLAIR", received="another")
    with console.progress("segmenting", "slices") as show:
        result = segmenter.compute(loaded, show)
    for warning in result.report.warnings:
        console.warn(warning)
    return result


COMMANDS = {"segment": _add_arguments}
