"""Puts a tuned network in the place of a member of a model, and leaves all else as it is.

    python -m evaluation.ensembles.exchange --model mixed-tuned --member unet-tuned
        --by DIR/tabriz/tuned --output DIR/mixed-without-tabriz

With the network that ``evaluation.ensembles.tune`` made without a source, the model can be measured
on that source by any command that takes a model, ``python -m evaluation.refinement`` among them.
The other members may not have seen the source either; whoever names the model has to know.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wmhseg.errors import UsageError, WmhsegError
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model

CARD = """# {name}

{model}, whose member `{member}` is another network here: {by}. Made to be measured on scans that
the member of {model} has seen and this one has not; not a model to be used.
"""


def exchanged(model: Model, member: str, by: Model, folder: Path) -> Model:
    """Writes the model with another member.

    Args:
        model: Of which all else is kept.
        member: File of the member without its ending.
        by: A model of one network, of the same kind and of the same inputs.
        folder: Of the model to be written, called as that.

    Raises:
        UsageError: If there is no such member, or the network cannot take its place.
        WmhsegError: If weights cannot be read or written.
    """
    old, new = model.preset, by.preset
    names = [Path(one.file).stem for one in old.members]
    if member not in names:
        raise UsageError(
            f"A member of {old.name} was expected ({', '.join(names)})", received=member
        )
    place = names.index(member)
    if len(new.members) != 1:
        raise UsageError("A model of one network was expected", received=f"{len(new.members)}")
    (other,) = new.members
    pairs = {
        "network": (old.members[place].network, other.network),
        "options": (old.members[place].options, other.options),
        "inputs": (old.inputs, new.inputs),
        "labels": (old.labels, new.labels),
        "preprocessing": (old.preprocessing, new.preprocessing),
    }
    for what, (held, offered) in pairs.items():
        if held != offered:
            raise UsageError(
                f"A network with the {what} of {member} was expected", received=offered
            )
    members = list(old.members)
    members[place] = replace(other, file=old.members[place].file)
    weights = [store.load(model, one) for one in old.members]
    weights[place] = store.load(by, other)
    made = preset.with_changes(old, name=folder.name, members=tuple(members))
    card = CARD.format(name=made.name, model=old.name, member=member, by=new.name)
    return store.save_model(folder, made, weights, card, dtype="float32")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.ensembles.exchange",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=store.DEFAULT_MODEL)
    parser.add_argument("--member", required=True, help="its file without .safetensors")
    parser.add_argument("--by", required=True, help="model of one network")
    parser.add_argument("--output", type=Path, required=True, help="the new model's folder")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    given = parse(words)
    try:
        made = exchanged(store.find(given.model), given.member, store.find(given.by), given.output)
    except WmhsegError as error:
        print(f"wmhseg: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{made.folder}: {len(made.preset.members)} members")
    return 0


if __name__ == "__main__":
    sys.exit(main())
