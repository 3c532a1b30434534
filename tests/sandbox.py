"""Runs the commands and examples of the docs, and every command's smallest case, on small data.

    python tests/sandbox.py FOLDER [--training | --smallest | --dask] [--only PAGE ...]

Run by the Python of an environment that was made as the docs say, it shows that the environment
has all that the commands import; ``--training`` says that the environment was promised to have
Keras. What needs more must be refused in one line. ``--smallest`` leaves the pages out,
``--only`` all but some; ``--dask`` says that all it was made for is a batch on a Dask cluster, and
runs that alone. ``tests/test_environments.py`` does so in fresh environments,
``tests/container/check_image.py`` in the image; writers of docs can in any.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import documented

FIELD = (48, 48)  # pixels that the small models take of a scan
SLICES = slice(18, 26)  # of the case that comes with the package
EXIT_DEVICE = 110


class FailedError(Exception):
    """A command or example did not do what the docs promise."""


@dataclass
class Sandbox:
    """A folder of small data, and a way to run commands there.

    Attributes:
        folder: Where all is made; the working directory while something runs.
        training: Whether Keras was promised.
        seconds: What each took.
    """

    folder: Path
    training: bool = True
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, words: Sequence[str]) -> str:
        """Runs a command in this process; returns what it printed.

        Raises:
            FailedError: If the exit code is not the one that the environment leads to.
        """
        line = " ".join(words)
        expected = self._expected(words)
        started = time.monotonic()
        printed, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            code = called(words)
        self.seconds[line] = time.monotonic() - started
        errors = told.getvalue()
        if code not in expected:
            raise FailedError(f"{line}: exit code {code}, not {expected}: {errors[-1500:]}")
        if "Traceback" in errors or "internal error" in errors:
            raise FailedError(f"{line}: {errors[-1500:]}")
        if code and errors.count("wmhseg: error: ") != 1:
            raise FailedError(f"{line}: one error was expected: {errors}")
        return printed.getvalue()

    def _expected(self, words: Sequence[str]) -> tuple[int, ...]:
        """Exit codes that the environment may lead to."""
        trains = list(words[:2]) == ["wmhseg", "train"]
        reads = {"--check", "--dry-run", "--print-plan", "--help"} & {*words}
        if trains and not reads and not self.training:
            return (EXIT_DEVICE,)
        return (0,)

    def begin_page(self) -> None:
        """Forgets what the commands of another page have trained."""
        for made in self.folder.glob("out*"):
            shutil.rmtree(made)
        # A result that another page has written anew takes the maps of the older one with it.
        kept, taken = self.folder / "kept-probability.nii.gz", self.folder / "p.nii.gz"
        if taken.exists():
            shutil.copy(taken, kept)
        elif kept.exists():
            shutil.copy(kept, taken)

    def fits(self, command: documented.Command) -> bool:
        """Whether what a command reads can be there in this environment."""
        made = [word for word in command.words if word.startswith(("out/", "out-"))]
        program = command.words[1:3] if command.words[0] == "python" else ()
        there = not program or importlib.util.find_spec(program[1].split(".")[0]) is not None
        return there and (self.training or not made or command.words[1] == "train")

    def example(self, code: str) -> None:
        """Runs a block of Python, as if FLAIR and T1 had been loaded before."""
        import SimpleITK as sitk

        names = [str(self.folder / f"{name}.nii.gz") for name in ("FLAIR", "T1")]
        flair, t1 = (sitk.GetArrayFromImage(sitk.ReadImage(name)) for name in names)
        exec(compile(code, "example", "exec"), {"flair": flair, "t1": t1, "pairs": [names]})


def called(words: Sequence[str]) -> int:
    """Runs a command as if from a shell, in this process; returns the exit code."""
    before = sys.argv
    try:
        if words[0] == "wmhseg":
            from wmhseg.cli.main import main

            return main(words[1:])
        sys.argv = [words[2], *words[3:]]
        runpy.run_module(words[2], run_name="__main__", alter_sys=False)
        return 0
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.argv = before


@contextlib.contextmanager
def opened(folder: Path, *, training: bool = True) -> Iterator[Sandbox]:
    """Makes the small data, and puts small models and plans in the place of the real ones."""
    from wmhseg.training import recipes

    folder.mkdir(parents=True, exist_ok=True)
    _write_data(folder)
    before, here = dict(os.environ), Path.cwd()
    plans = dict(recipes.PLANS)
    os.environ["WMHSEG_MODELS"] = str(folder / "models")
    os.environ["XDG_DATA_HOME"] = str(folder / "home")
    recipes.PLANS.update({name: _small(plan) for name, plan in plans.items()})
    os.chdir(folder)
    try:
        sandbox = Sandbox(folder, training)
        _write_tables(sandbox)
        yield sandbox
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        recipes.PLANS.update(plans)


def _write_data(folder: Path) -> None:
    import SimpleITK as sitk

    from wmhseg.datasets import demo

    case = demo.write_case(folder / "made-of")
    scans = {
        "FLAIR": case / "pre" / "FLAIR.nii.gz",
        "T1": case / "pre" / "T1.nii.gz",
        "wmh": case / "wmh.nii.gz",
    }
    small = {name: sitk.ReadImage(str(path))[:, :, SLICES] for name, path in scans.items()}
    names = {"FLAIR": ("FLAIR", "F"), "T1": ("T1", "T"), "wmh": ("wmh", "result")}
    for name, image in small.items():
        for other in names[name]:
            sitk.WriteImage(image, str(folder / f"{other}.nii.gz"))
    _write_known(folder, small["wmh"])
    for place in (
        *("DIR/training/Utrecht/1", "DIR/training/Singapore/2", "CASES/1"),
        *("data/study/sub-1", "data/study/sub-2"),
    ):
        (folder / place / "pre").mkdir(parents=True)
        for name in ("FLAIR", "T1"):
            shutil.copy(folder / f"{name}.nii.gz", folder / place / "pre")
        shutil.copy(folder / "wmh.nii.gz", folder / place)
    _write_bids(folder)
    (folder / "study" / "patient01").mkdir(parents=True)
    for name in ("FLAIR", "T1"):
        shutil.copy(folder / f"{name}.nii.gz", folder / "study" / "patient01")
    for subject in ("1", "2"):
        (folder / "results" / subject).mkdir(parents=True)
        shutil.copy(folder / "result.nii.gz", folder / "results" / subject)
    rows = ("subject\tflair\tt1", "one\tFLAIR.nii.gz\tT1.nii.gz", "two\tFLAIR.nii.gz\t")
    (folder / "subjects.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    _write_labels(folder / "LABELS" / "01.nii.gz")
    shutil.copytree(folder / "LABELS", folder / "HEADS")
    _write_models(folder / "models")
    _write_keras2(folder)


def _write_bids(folder: Path) -> None:
    """A data set of two people, the second with a T1w scan in another session."""
    for name, scan in (
        ("sub-01/anat/sub-01_FLAIR", "FLAIR"),
        ("sub-01/anat/sub-01_T1w", "T1"),
        ("sub-02/ses-a/anat/sub-02_ses-a_FLAIR", "FLAIR"),
        ("sub-02/ses-b/anat/sub-02_ses-b_T1w", "T1"),
    ):
        (folder / "BIDS" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"{scan}.nii.gz", folder / "BIDS" / f"{name}.nii.gz")
    description = json.dumps({"Name": "Small", "BIDSVersion": "1.10.0"})
    (folder / "BIDS" / "dataset_description.json").write_text(description, encoding="utf-8")
    queries = json.dumps({"flair": {"suffix": "FLAIR"}, "t1w": {"run": None}})
    (folder / "filter.json").write_text(queries, encoding="utf-8")


def _write_known(folder: Path, wmh: Any) -> None:
    """What ``wmhseg measure`` may be told of a mask: probability, anatomy and an atlas."""
    import numpy as np
    import SimpleITK as sitk

    marked = sitk.GetArrayFromImage(wmh)
    anatomy = np.full(marked.shape, 7, np.uint8)
    anatomy[:, 100:120, 110:118], anatomy[:, 100:120, 122:130] = 3, 4
    known = {"p": marked.astype(np.float32) * np.float32(0.9), "anatomy": anatomy}
    for name, volume in {**known, "atlas": (marked >= 0).astype(np.uint8)}.items():
        image = sitk.GetImageFromArray(volume)
        image.CopyInformation(wmh)
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    (folder / "regions.tsv").write_text("index\tname\n1\tall\n", encoding="utf-8")


def _write_labels(path: Path) -> None:
    """A whole head of nested ellipsoids, numbered as FreeSurfer does."""
    import numpy as np
    import SimpleITK as sitk

    labels = np.zeros((46, 84, 76), np.int16)
    places = np.indices(labels.shape) - (np.array(labels.shape).reshape(-1, 1, 1, 1) - 1) / 2
    for number, *radii in (
        *((507, 23, 40, 36), (515, 21, 36, 32), (24, 19, 33, 29), (3, 18, 31, 27)),
        *((2, 15, 27, 23), (4, 5, 9, 4)),
    ):
        labels[((places / np.array(radii).reshape(-1, 1, 1, 1)) ** 2).sum(0) <= 1] = number
    path.parent.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(path))


def _write_models(folder: Path) -> None:
    """The installed models with one member each, which sees few pixels."""
    from wmhseg.weights import store

    for found in store.installed():
        preset = json.loads((found / "preset.json").read_text("utf-8"))
        preset["members"] = preset["members"][:1]
        preset["preprocessing"]["field"] = FIELD
        model = folder / found.name
        model.mkdir(parents=True)
        (model / "preset.json").write_text(json.dumps(preset), encoding="utf-8")
        shutil.copy(found / preset["members"][0]["file"], model)
    _write_missing(folder)


def _write_missing(folder: Path) -> None:
    """Stand-ins for models that are not in the package, of the default one's network."""
    import numpy as np

    from wmhseg.weights import known, preset, store
    from wmhseg.weights.inputs import Labels
    from wmhseg.weights.processing import OtherLabel, Postprocessing
    from wmhseg.weights.structures import NUMBER, STRUCTURES

    model = store.find(folder / store.DEFAULT_MODEL)
    (member,) = model.preset.members
    for missing in known.KNOWN:
        if (folder / missing.name).exists():
            continue
        tensors = dict(store.load(model, member))
        made = replace(model.preset, name=missing.name)
        names, place = ("background", "WMH", *missing.others), 1
        if missing.anatomical:
            names, place = STRUCTURES, NUMBER["white-matter"]
            made = replace(made, readers=(), postprocessing=Postprocessing(end_slices=0.0))
        if len(names) > 2:  # what says WMH, and between labels that are never said
            rules = tuple(OtherLabel(label) for label in missing.others)
            made = replace(made, labels=Labels(names, "softmax"), others=rules)
            for name in ("output/kernel", "output/bias"):
                one = np.zeros((*tensors[name].shape[:-1], len(names)), np.float32)
                one[..., place] = tensors[name][..., 0]
                tensors[name] = one
        written = preset.unwritten_member("0.safetensors", "unet", member.options, made.signature)
        store.save_model(folder / made.name, replace(made, members=(written,)), [tensors], "")


def _write_keras2(folder: Path) -> None:
    """Weight files as the challenge's winners published them."""
    import h5py
    import numpy as np
    from keras2_files import legacy_name, random_value, write_legacy

    from wmhseg.networks import catalogue
    from wmhseg.networks.signature import SCAN, Signature

    described = catalogue.describe("unet", Signature(FIELD, ((SCAN, 2),)), {})
    rng = np.random.default_rng(0)
    values = {name: random_value(name, shape, rng) for name, shape in described.variables().items()}
    layers = dict.fromkeys(name.split("/")[0] for name in values)
    names = {layer: legacy_name(layer, index) for index, layer in enumerate(layers)}
    with h5py.File(folder / "0.h5", "w") as file:
        write_legacy(file, values, names)
    for number in (1, 2):
        shutil.copy(folder / "0.h5", folder / f"{number}.h5")


def _write_tables(sandbox: Sandbox) -> None:
    """Tables of scores, as ``wmhseg evaluate`` writes them."""
    evaluate = ["wmhseg", "evaluate", "--data", "DIR", "--results", "results", "--no-plots"]
    sandbox.run([*evaluate, "--output", "a", "--jobs", "1"])
    shutil.copytree(sandbox.folder / "a", sandbox.folder / "b")
    shutil.copy(sandbox.folder / "a" / "metrics.csv", sandbox.folder)


def _small(plan: Any) -> Any:
    """A plan of the same name that trains three numbers for a moment."""
    from wmhseg.training.plan import Augmentation, Run, Synthesis

    _add_tiny_network()
    real = plan.synthesis is None
    length = {"epochs": 1} if real else {"steps": 2}
    return replace(
        plan,
        preprocessing=replace(plan.preprocessing, field=FIELD),
        augmentation=Augmentation(copies=2) if real else None,
        synthesis=None
        if real
        else Synthesis(replace(plan.synthesis.recipe, field=FIELD, slices=4), scans=2, slices=3),
        fitting=replace(plan.fitting, precision="float32", restart=None),
        runs=tuple(Run(str(n), "tiny", seed=n, batch=4, rate=0.01, **length) for n in range(2)),
    )


def _add_tiny_network() -> None:
    """sigmoid(a * FLAIR + b * T1 + c): trains at once."""
    from wmhseg.networks.catalogue import NETWORKS
    from wmhseg.networks.graph import Graph

    def tiny(signature: Any) -> Graph:
        return Graph("tiny", signature.output_layer(signature.only_input()))

    NETWORKS.setdefault("tiny", tiny)


def helps(root: Path) -> list[list[str]]:
    """Every command and program there is, asked for help."""
    found = [["wmhseg", "--help"], *(["wmhseg", name, "--help"] for name in documented.COMMANDS)]
    found.append(["wmhseg", "models", "import", "--help"])
    modules = ["wmhseg.synthesis.make_heads", "wmhseg.synthesis.contact_sheet"]
    for path in sorted([*root.glob("evaluation/*.py"), *root.glob("benchmarks/*.py")]):
        if "ArgumentParser(" in path.read_text("utf-8"):
            modules.append(f"{path.parent.name}.{path.stem}")
    return found + [["python", "-m", module, "--help"] for module in modules]


def run_all(
    sandbox: Sandbox, root: Path = documented.ROOT, pages: Sequence[Path] | None = None
) -> list[str]:
    """Runs everything, of pages what some show or all (None); returns what failed."""
    work: list[tuple[str, Callable[[], object]]] = []
    chosen = documented.pages(root) if pages is None else pages
    lines = (
        documented.SMALLEST
        if root / "README.md" in chosen
        else (*documented.SMALLEST, *documented.BESIDES)
    )
    for words in [*helps(root), *(line.split() for line in lines)]:
        work.append((" ".join(words), partial(sandbox.run, words)))
    for page in chosen:
        work.append(("a new page", sandbox.begin_page))
        for example in documented.examples(page, root):
            work.append((example.page, partial(sandbox.example, example.code)))
        for one in documented.commands(page, root):
            if one.whole and one.rule == "run" and sandbox.fits(one):
                work.append((str(one), partial(sandbox.run, one.filled())))
    failed = []
    for name, act in work:
        try:
            act()
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
    return failed


def run_on_dask(sandbox: Sandbox) -> list[str]:
    """Runs a batch on a cluster of one process; returns what failed."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        words = ["wmhseg", "batch", "data/study", "--output", "on-dask"]
        try:
            sandbox.run([*words, "--dask", cluster.scheduler_address])
        except FailedError as error:
            return [str(error)]
    done = list((sandbox.folder / "on-dask").glob("sub-*/result.nii.gz"))
    return [] if len(done) == 2 else [f"{len(done)} results of 2"]


def main() -> int:
    """Runs the program; returns 1 if something failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--only", action="append", default=[], metavar="PAGE", help="again for more"
    )
    promised = parser.add_mutually_exclusive_group()
    promised.add_argument("--training", action="store_true", help="Keras was promised")
    promised.add_argument("--smallest", action="store_true", help="leave the pages out")
    promised.add_argument("--dask", action="store_true", help="nothing but Dask was promised")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import wmhseg

    print(f"wmhseg {wmhseg.__version__} of {Path(wmhseg.__file__).parent}")
    program = Path(sysconfig.get_path("scripts")) / "wmhseg"
    subprocess.run([program, "--version"], check=True)
    # Programs that are not installed are found here, the package itself where it is installed.
    sys.path.append(str(documented.ROOT))
    folder = given.folder.resolve()
    with opened(folder, training=given.training) as sandbox:
        only = [documented.ROOT / page for page in given.only]
        pages = only if only or given.smallest else None
        failed = run_on_dask(sandbox) if given.dask else run_all(sandbox, pages=pages)
    for name, seconds in sorted(sandbox.seconds.items(), key=lambda one: -one[1])[:8]:
        print(f"{seconds:6.1f} s  {name}")
    for text in failed:
        print(f"FAILED  {text}")
    print(f"{len(sandbox.seconds)} commands in {sum(sandbox.seconds.values()):.0f} s")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
