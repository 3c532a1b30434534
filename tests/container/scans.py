"""Programs that write scans for the checks of the image, for the Python that has wmhseg."""

SLICES = 12
# Of the synthetic case the slices with most lesions, in a folder of their own.
PART = f"""
import pathlib, sys, SimpleITK
whole, part = map(pathlib.Path, sys.argv[1:])
for path in whole.glob("pre/*.nii.gz"):
    (part / "pre").mkdir(exist_ok=True)
    image = SimpleITK.ReadImage(str(path))[:, :, 16 : 16 + {SLICES}]
    SimpleITK.WriteImage(image, str(part / "pre" / path.name))
"""
# The largest scans that are read: 512 x 512 x 512 voxels of 8 bytes, FLAIR and T1 alike. Written
# slice by slice, so that making them needs no more memory than segmenting them.
LARGEST = """
import gzip, pathlib, sys
import numpy as np
from wmhseg.io import nifti
from wmhseg.geometry import Grid
folder = pathlib.Path(sys.argv[1], "pre")
folder.mkdir()
side = 512
rows, columns = np.ogrid[:side, :side]
class Planes:
    dtype, shape = np.dtype(np.float64), (side, side, side)
    def __init__(self, *values):
        self.values = values
    def __iter__(self):
        # Noise that packs well: four rows of it, again and again, shifted from slice to slice.
        rng = np.random.default_rng(self.values[0])
        noise = rng.integers(0, 64, (4, side))
        for index in range(side):
            plane = np.zeros((side, side))
            up = ((index - 256) / 240) ** 2
            for value, size in zip(self.values, (200, 160, 6)):
                plane[((rows - 256) / size) ** 2 + ((columns - 256) / size) ** 2 + up < 1] = value
            yield plane + np.tile(np.roll(noise, rng.integers(side), 1), (side // 4, 1))
for name, values in (("FLAIR", (500, 300, 900)), ("T1", (800, 500, 300))):
    with gzip.open(folder / f"{name}.nii.gz", "wb", 1) as file:
        nifti.write(file, Planes(*values), Grid(Planes.shape, (0.5, 0.5, 0.5)))
"""
