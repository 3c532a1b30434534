"""Draws the synthetic case that travels with the package (wmhseg/data/demo).

python -m evaluation.package_data.demo_case --labels DIR/03.nii.gz --output wmhseg/data/demo

The case in the package was drawn before heads aged and lesions of real people were put in: this
generator draws another one from the same seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from wmhseg.preparation import intensity
from wmhseg.synthesis import heads, scan
from wmhseg.synthesis.recipe import Recipe
from wmhseg.weights.methods import METHODS

SEED = 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()

    recipe = Recipe(
        field=(240, 240),
        slices=48,
        thickness_mm=(3.0,),
        pixel_mm=(1.0, 1.0),
        tilt_deg=4.0,
        zoom=(0.98, 1.02),
        gap=(0.0, 0.0),
        neck_mm=6.0,
        vertex_mm=6.0,
        cut_short=0.0,
        off_centre_mm=2.0,
        skull_stripped=0.0,
        without_lesions=0.0,
    )
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(arguments.labels)))
    rng = np.random.default_rng(arguments.seed)
    drawing = scan.draw_scan(rng, [heads.load_head(labels)], recipe)
    arguments.output.mkdir(parents=True, exist_ok=True)
    # Coarse steps keep the files small; they stay well below the noise.
    # Both scans are on the challenge's scale, which the mask thresholds are made for.
    method = METHODS["published"].preprocessing
    flair, t1 = method.flair_threshold, method.t1_threshold
    scans = {
        "FLAIR": (drawing.flair, intensity.scale_factor(drawing.flair, flair), np.int16),
        "T1": (drawing.t1, intensity.scale_factor(drawing.t1, t1), np.int16),
        "wmh": (drawing.target, 1, np.uint8),
    }
    for name, (volume, factor, kind) in scans.items():
        step = 4 if kind is np.int16 else 1
        values = np.round(volume * factor / step) * step
        image = sitk.GetImageFromArray(values.astype(kind))
        image.SetSpacing((1.0, 1.0, drawing.spacing_mm[0]))
        image.SetOrigin((-119.5, -119.5, -70.5))
        sitk.WriteImage(image, str(arguments.output / f"{name}.nii.gz"), True, 9)
    print(f"{drawing.target.sum() * drawing.spacing_mm[0] / 1000:.1f} ml of lesion")


if __name__ == "__main__":
    main()
