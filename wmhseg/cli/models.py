"""The commands about models: models, and models import, get and remove."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import console_of, print_json
from wmhseg.cli.parser import Parser, add_general, examples, positive, whole

if TYPE_CHECKING:
    from wmhseg.fetching.index import Asset
    from wmhseg.weights.known import KnownModel
    from wmhseg.weights.preset import Member, Preset
    from wmhseg.weights.processing import ReaderName
    from wmhseg.weights.store import Model


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_models)
    examples(
        parser,
        "models",
        "models get mixed-synthetic",
        "models get mixed-synthetic --from mixed-synthetic.zip",
        "models import 0.h5 1.h5 2.h5 --preset released --name unet-released",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    importing = actions.add_parser(
        "import", help="import the authors' public Keras-2 weights (HDF5)"
    )
    importing.set_defaults(run=_import)
    add_general(importing)
    importing.add_argument("files", nargs="+", metavar="HDF5", help="one file a member")
    importing.add_argument("--name", required=True, help="name of the new model")
    importing.add_argument(
        "--preset", help="method: how scans are prepared and masks are made (default: released)"
    )
    importing.add_argument("--network", help="unet or stacknet (default: unet)")
    importing.add_argument(
        "--kernel",
        type=positive,
        help="pixels of the kernel of the first layers (default: the network's usual one)",
    )
    importing.add_argument(
        "--channels",
        type=whole,
        choices=[1, 2],
        default=2,
        help="scans that the networks take: 1, FLAIR; 2, FLAIR and T1",
    )
    importing.add_argument("--licence", help="licence of the weights (default: unknown)")
    importing.add_argument("--into", metavar="DIR", help="folder of models; default: the user's")
    _add_get(actions)
    removing = actions.add_parser("remove", help="remove a model of this project that was got")
    removing.set_defaults(run=_remove)
    add_general(removing)
    removing.add_argument("name", metavar="NAME", help="name of the model")


def _add_get(actions: argparse._SubParsersAction[Parser]) -> None:
    getting = actions.add_parser("get", help="fetch a model of this project that is not installed")
    getting.set_defaults(run=_get)
    add_general(getting)
    getting.add_argument("name", nargs="?", metavar="NAME", help='as "wmhseg models" lists them')
    getting.add_argument("--all", action="store_true", help="all that are not installed")
    getting.add_argument(
        "--from",
        dest="source",
        metavar="URL|FILE",
        help="file of the model, or the folder or https address that holds it (default: "
        "$WMHSEG_MODELS_URL, then the project's release page)",
    )
    getting.add_argument(
        "--into",
        metavar="DIR",
        help="folder of models (default: the first of $WMHSEG_MODELS, then the user's)",
    )


def _models(arguments: argparse.Namespace) -> int:
    from wmhseg.weights import known, store

    rows: list[dict[str, str]] = []
    broken = []
    for folder in store.installed():
        try:
            rows.append(_describe(store.find(folder.name)))
        except errors.WmhsegError as error:
            broken.append((folder.name, str(error)))
    held = {folder.name for folder in store.installed()}
    missing = [_missing(model) for model in known.KNOWN if model.name not in held]
    if arguments.json:
        print_json([*rows, *missing])
    else:
        if not rows:
            print("No model is installed.")
        for row in rows:
            _print(row, "  (default)" * (row["name"] == store.DEFAULT_MODEL))
        for row in missing:
            _print(row, "  (not installed)")
    console = console_of(arguments)
    for name, message in broken:
        console.warn(f"model {name} is broken: {message}")
    return errors.PresetError.exit_code if broken else errors.EXIT_OK


def _print(row: Mapping[str, str], remark: str) -> None:
    print(f"{row['name']}{remark}")
    for key in list(row)[1:]:
        print(f"    {key:<14}{row[key]}")


def _missing(model: KnownModel) -> dict[str, str]:
    """What is said of a model that is known and not installed; it has no folder."""
    from wmhseg.weights import known
    from wmhseg.weights.inputs import WMH
    from wmhseg.weights.structures import STRUCTURES

    said = {"marks": ", ".join((WMH, *model.others))}
    if model.anatomical:
        said = {"names": ", ".join(STRUCTURES)}
    return {
        "name": model.name,
        "what": model.what,
        **said,
        "size": f"about {model.size_mb} MB to get",
        "where": known.where(model.name),
    }


def _inputs(preset: Preset) -> str:
    """What a model has to be given, and what it finds out itself."""
    scans = "FLAIR and T1" if preset.takes_t1 else "FLAIR"
    if preset.takes_t1 and preset.works_without_t1:
        scans += ", or FLAIR alone"
    return scans + "; finds where in the brain voxels lie" * preset.takes_location


def _describe(model: Model) -> dict[str, str]:
    from wmhseg.weights import methods
    from wmhseg.weights import preset as presets

    preset = model.preset
    networks = sorted(_network(m) for m in preset.members)
    said = {"marks": ", ".join(preset.marked)}
    rules = "; ".join(_rules(preset, name) for name in presets.reader_names(preset))
    if preset.labels.anatomical:
        said, rules = {"names": ", ".join(preset.labels.names)}, ""
    return {
        "name": preset.name,
        "what": preset.description,
        "members": ", ".join(f"{networks.count(one)} x {one}" for one in dict.fromkeys(networks)),
        "input": _inputs(preset),
        **said,
        **{f"{one.label}": one.caution for one in preset.others if one.caution},
        "preset": methods.method_name(preset),
        **({"readers": rules} if rules else {}),
        "trained on": preset.training_data,
        "licence": preset.licence,
        "reference": preset.reference,
        "folder": str(model.folder),
        "size": f"{_bytes_of(model.folder) / 1e6:.0f} MB",
    }


def _bytes_of(folder: Path) -> int:
    sizes = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # a link to nowhere: what needs the file will say so
            sizes.append(path.stat().st_size)
    return sum(sizes)


def _rules(preset: Preset, reader: ReaderName) -> str:
    """Such as "balanced: threshold 0.7, lesions of 10 mm3 or more that somewhere exceed 0.98"."""
    from wmhseg.weights import preset as presets

    post = presets.read_by(preset, reader)
    least = f"{post.min_lesion_mm3:g} mm3 or more" if post.min_lesion_mm3 else "any size"
    peak = f" that somewhere exceed {post.lesion_peak:g}" if post.lesion_peak else ""
    return f"{reader}: threshold {post.threshold:g}, lesions of {least}{peak}"


def _network(member: Member) -> str:
    """Such as "unet", or "stacknet (kernel 3, depth 5)"."""
    options = ", ".join(f"{name} {value}" for name, value in member.options.items())
    return f"{member.network} ({options})" if options else member.network


def _import(arguments: argparse.Namespace) -> int:
    from wmhseg.weights import importing
    from wmhseg.weights.inputs import inputs_of_channels

    # What is not given is as ``Import`` says.
    given = {
        "method": arguments.preset,
        "network": arguments.network,
        "licence": arguments.licence,
    }
    made = importing.import_keras2(
        [Path(name) for name in arguments.files],
        importing.Import(
            name=arguments.name,
            options={} if arguments.kernel is None else {"kernel": arguments.kernel},
            inputs=inputs_of_channels(arguments.channels, "error"),
            **{name: text for name, text in given.items() if text is not None},
        ),
        into=Path(arguments.into) if arguments.into else None,
    )
    print_made(made)
    return errors.EXIT_OK


def print_made(model: Model) -> None:
    """Prints where a new model is."""
    print(f"{model.preset.name}: {len(model.preset.members)} members in {model.folder}")


def _get(arguments: argparse.Namespace) -> int:
    from wmhseg.fetching import index, installing

    if (arguments.name is None) != arguments.all:
        raise errors.UsageError(
            "The name of a model, or --all, was expected",
            received="both" if arguments.all else "none",
            advice='"wmhseg models" lists the names.',
        )
    into = Path(arguments.into) if arguments.into else None
    wanted = index.load().models if arguments.all else (index.find(arguments.name),)
    for asset in wanted:
        there = installing.installed(asset, into)
        if there is not None:
            print(f"{asset.name}: installed already in {there.folder}")
            continue
        _get_one(asset, into, arguments)
    return errors.EXIT_OK


def _get_one(asset: Asset, into: Path | None, arguments: argparse.Namespace) -> None:
    from wmhseg.fetching import installing
    from wmhseg.weights import store

    console = console_of(arguments)
    with console.progress(f"fetching {asset.name}") as show:
        telling = installing.Telling(console.say, show)
        print_made(installing.get(asset, arguments.source, into=into, telling=telling))
    if into is not None and into.absolute() not in map(Path.absolute, store.search_path()):
        console.say(f"models are not looked for in {into}: let $WMHSEG_MODELS name it")


def _remove(arguments: argparse.Namespace) -> int:
    from wmhseg.fetching import installing

    print(f"{arguments.name}: removed {installing.remove(arguments.name)}")
    return errors.EXIT_OK


COMMANDS = {"models": _add_arguments}
