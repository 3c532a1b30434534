"""Trains the starter weights: one warm start, then three members with seeds of their own.

python -m wmhseg.training.starter --labels DIR --output DIR

DIR holds whole-head label maps at 1 mm (``*.nii.gz``, label numbers as in
``wmhseg.training.heads.TISSUES``). Files that are there already are not made again, so an
interrupted run goes on with the member it was at.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wmhseg import preset, weights
from wmhseg.preset import Member, Preset
from wmhseg.training.fit import Plan, fit

NAME = "unet-synthetic"
# 88 minutes on two shared cores with bfloat16. The warm start sees small crops, twice as fast; the
# members then see nearly whole slices, so that they know borders and position.
WARM = Plan(steps=3000, crop=144, rate=6e-4, final_rate=2.5e-4, seed=0)
MEMBERS = tuple(
    Plan(steps=500, crop=160, rate=2.5e-4, final_rate=0.0, warmup=20, seed=seed)
    for seed in (201, 202, 203)
)


def train(labels: Path, output: Path) -> list[Path]:
    """Trains what is missing in ``output``; returns the members' weight files."""

    def made(name: str, plan: Plan, start_from: Path | None) -> Path:
        path = output / f"{name}.safetensors"
        if not path.exists():
            print(f"{name}: {plan.steps} steps of {plan.batch} slices", flush=True)
            unfinished = output / f"{name}-unfinished.safetensors"
            fit(plan, labels, unfinished, start_from=start_from, report=_say)
            unfinished.rename(path)
        return path

    warm = made("warm", WARM, None)
    return [made(str(number), plan, warm) for number, plan in enumerate(MEMBERS)]


def _say(line: str) -> None:
    print(line, flush=True)


def package(members: list[Path], folder: Path, card: str) -> weights.Model:
    """Makes a model folder of trained members.

    Args:
        members: Weight files.
        folder: Folder to make; its name is the model's.
        card: Text of MODEL_CARD.md.
    """
    from wmhseg import networks

    method = preset.METHODS["synthetic"]
    parameters = networks.build("unet", method.preprocessing.field, 2, {}).count_params()
    what = Preset(
        format=preset.FORMAT,
        name=folder.name,
        description=f"Ensemble of {len(members)} U-Nets, trained by wmhseg on synthetic scans.",
        licence="Apache-2.0",
        training_data="synthetic scans drawn from 20 SynthSeg label maps; no real image",
        reference=method.reference,
        channels=2,
        without_t1="zero",
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        members=tuple(
            Member(f"{number}.safetensors", "0" * 64, "unet", {}, parameters)
            for number in range(len(members))
        ),
    )
    return weights.save_model(folder, what, [weights.read_tensors(m) for m in members], card)


def main() -> None:
    """Parses the arguments and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    members = train(arguments.labels, arguments.output)
    card = f"# {NAME}\n\nTrained by `python -m wmhseg.training.starter`; nothing measured yet.\n"
    made = package(members, arguments.output / NAME, card)
    print(f"{made.preset.name}: {made.folder}")


if __name__ == "__main__":
    main()
