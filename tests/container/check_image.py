"""Builds the container image and checks it the way it will be used.

    python tests/container/check_image.py                    build, check, run a synthetic case
    python tests/container/check_image.py --build-only       build
    python tests/container/check_image.py --cases DIR        and segment every DIR/*/pre
    python tests/container/check_image.py --largest          and segment the largest scans supported
    python tests/container/check_image.py --no-build --image NAME    check an image that is there

The case goes through both protocols, the users' (run, segment, exit) and the challenge's (a
container that stays, `exec`, `cp`, `stop`), without network, writable root, capabilities or a known
user, and the mask must equal that of a run outside the image voxel by voxel. Runs with the Python
that has wmhseg installed (or --python); itself it needs the standard library alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import engine as engines
import scans
from engine import Engine, EngineError, say

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wmhseg-container-test"
USER = "4321:4321"  # known to nobody
CPUS = 2
CONFINED = (
    *("--network=none", "--read-only", "--tmpfs=/tmp"),
    *("--memory=3g", "--memory-swap=3g", f"--cpus={CPUS}", "--pids-limit=256"),
    *("--cap-drop=all", "--security-opt=no-new-privileges"),
)
MAX_IMAGE_GB = 2.4  # of the full image for CPUs
MAX_STOP_S = 8.0  # engines kill after ten
EXIT_BIDS_LEVEL, EXIT_DEVICE = 17, 110
EXIT_MISSING_FILE, EXIT_USAGE, EXIT_NOT_WRITABLE, EXIT_TERMINATED = 80, 2, 96, 143

_COMPARE = """
import sys, numpy, SimpleITK
a, b = (SimpleITK.ReadImage(path) for path in sys.argv[1:])
x, y = (SimpleITK.GetArrayFromImage(image) for image in (a, b))
assert x.dtype == y.dtype == numpy.uint8, (x.dtype, y.dtype)
assert x.shape == y.shape, (x.shape, y.shape)
for part in ("GetSpacing", "GetOrigin", "GetDirection"):
    assert getattr(a, part)() == getattr(b, part)(), part
assert set(numpy.unique(x)) <= {0, 1}, numpy.unique(x)
assert numpy.array_equal(x, y), f"{numpy.count_nonzero(x != y)} voxels differ"
print(numpy.count_nonzero(x))
"""
_PACKAGES = """
from importlib import metadata
for found in metadata.distributions():
    print(found.metadata["Name"], found.version)
"""
# Version 2 and version 1 of control groups; whichever is there.
_PEAK = (
    "cat /sys/fs/cgroup/memory.peak 2>/dev/null"
    " || cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes 2>/dev/null || true"
)


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    started = time.monotonic()
    yield lambda: time.monotonic() - started


@dataclass
class Bench:
    """An image under test: the engine, the folder for files, and what has been found so far."""

    engine: Engine
    image: str
    python: str
    folder: Path
    max_gb: float = MAX_IMAGE_GB
    facts: list[tuple[str, str]] = field(default_factory=list)
    references: dict[Path, Path] = field(default_factory=dict)

    def note(self, name: str, value: str) -> None:
        self.facts.append((name, value))
        say(f"     {name}: {value}")

    def fresh(self, name: str, mode: int = 0o777) -> Path:
        """Makes an empty folder that any user may write to."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(mode)
        return folder

    def run(self, *arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Runs the image once, confined, as an unknown user, without a terminal."""
        return self.engine(
            *("run", "--rm", *CONFINED, *self.engine.run_options, f"--user={USER}"),
            *(*flags, self.image, *arguments),
            check=False,
        )

    def segment(
        self, case: Path, output: Path, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """The users' protocol; no arguments mean the challenge's layout and settings."""
        mounts = (f"--volume={case}:/input:ro", f"--volume={output}:/output")
        return self.run(*arguments, flags=mounts)

    @contextmanager
    def staying(self, *flags: str) -> Iterator[str]:
        """The challenge's container: `run -dit`; removed with its volumes in the end."""
        options = (*CONFINED, *self.engine.run_options, f"--user={USER}")
        identity = self.engine("run", "-dit", *options, *flags, self.image).stdout.strip()
        try:
            yield identity
        finally:
            self.engine("rm", "--force", "--volumes", identity, check=False)

    def outside(self, case: Path, *arguments: str) -> Path:
        """The same run without the image, once a case; returns the mask."""
        if case in self.references:
            return self.references[case]
        output = self.fresh("outside")
        command = ["-m", "wmhseg", "challenge", "--input", case, "--output", output, *arguments]
        subprocess.run(
            [self.python, *map(str, command), "--threads", str(CPUS), "--quiet"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        )
        self.references[case] = output / "result.nii.gz"
        return self.references[case]

    def compare(self, inside: Path, outside: Path, report_name: str = "result.json") -> int:
        """Asserts that two masks and their reports agree; returns the number of WMH voxels.

        The report inside may have another name.
        """
        for path in (inside, outside):
            expect(path.is_file(), f"{path} was not written")
        done = subprocess.run(
            [self.python, "-c", _COMPARE, str(inside), str(outside)],
            check=False,
            capture_output=True,
            text=True,
        )
        expect(done.returncode == 0, f"masks differ: {done.stderr.strip()[-500:]}")
        reports = [
            json.loads(path.read_text())
            for path in (inside.with_name(report_name), outside.with_name("result.json"))
        ]
        for key in ("volume_ml", "lesion_count", "model", "members", "threshold"):
            values = [report[key] for report in reports]
            expect(values[0] == values[1], f"reports differ in {key}: {values}")
        return int(done.stdout)


def check_labels(bench: Bench) -> None:
    """Labels, user and size are as published; nothing of the building machine is kept."""
    found = json.loads(bench.engine("image", "inspect", bench.image).stdout)[0]
    config = found["Config"]
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    expect(labels.get("title") == "wmhseg", f"title: {labels}")
    expect(labels.get("licenses") == "Apache-2.0", f"licence: {labels}")
    expect(bool(labels.get("description")), f"description: {labels}")
    version = bench.run("--version").stdout.split()[-1]
    expect(labels.get("version") == version, f"version {version}, label {labels.get('version')}")
    expect(bool(labels.get("revision")), f"revision: {labels}")
    expect(bool(labels.get("base.name")), f"base: {labels}")
    for name in ("authors", "vendor"):
        expect(labels.get(name) == "The wmhseg developers", f"{name}: {labels}")
    called = bench.run("printenv", "WMHSEG_IMAGE").stdout.strip()
    expect(labels.get("ref.name") == called, f"name {called}, label {labels.get('ref.name')}")
    bill = json.loads(bench.run("cat", config["Labels"].get("bill-of-materials", "")).stdout)
    listed = {normal(one["name"]): one["version"] for one in bill["components"]}
    lines = bench.run("cat", "/opt/wmhseg/requirements.txt").stdout.splitlines()
    pinned = (line.split("==") for line in lines if "==" in line and line[0] != "#")
    wanted = {normal(name): version.strip() for name, version in pinned}
    expect(listed == wanted, f"bill of materials: {set(listed.items()) ^ set(wanted.items())}")
    expect(bill["metadata"]["component"]["name"] == "wmhseg", "the bill is of something else")
    expect(config["User"].split(":")[0] not in ("", "0", "root"), f"user: {config['User']!r}")
    expect(not config.get("Volumes"), f"volumes: {config.get('Volumes')}")
    kept = [entry for entry in config["Env"] if re.match(r"(?i)PIP_|.*PROXY|SSL_", entry)]
    expect(not kept, f"settings of the building machine are in the image: {kept}")
    size_gb = found["Size"] / 1e9
    bench.note("image size", f"{size_gb:.2f} GB (uncompressed, base image included)")
    expect(size_gb <= bench.max_gb, f"the image is larger than {bench.max_gb} GB")


def check_contents(bench: Bench) -> None:
    """The image holds the pinned packages and wmhseg, and nothing else of the repository."""
    lines = bench.run("cat", "/opt/wmhseg/requirements.txt").stdout.splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and line[0] != "#")
    expect(bool(pinned), "no package is pinned")
    listed = bench.run("python", "-c", _PACKAGES)
    expect(listed.returncode == 0, listed.stderr)
    installed = {
        normal(name): version for name, version in map(str.split, listed.stdout.splitlines())
    }
    installed.pop("wmhseg", None)
    wanted = {normal(name): version.strip() for name, version in pinned.items()}
    expect(installed == wanted, f"packages differ: {set(installed.items()) ^ set(wanted.items())}")
    search = ("find", "/", "-xdev", "-path", "/proc", "-prune", "-o")
    unwanted = bench.run(
        *(*search, "(", "-name", ".git", "-o", "-name", Path(__file__).name, "-o"),
        *("-regex", ".*/site-packages/\\(wmhseg/\\)?\\(tests\\|evaluation\\|benchmarks\\)"),
        *("-o", "-path", "/wheels/*", "-o", "-path", "/build", ")", "-print"),
    ).stdout.split()
    expect(not unwanted, f"not for the image: {unwanted}")


def check_without_gpu(bench: Bench, case: Path) -> None:
    """The image for GPUs says in one line what is missing where there is none; the CPU works."""
    output = bench.fresh("gpu")
    done = bench.segment(case, output, "challenge", "--device", "gpu")
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    expect(done.returncode == EXIT_DEVICE, f"exit code {done.returncode}: {done.stderr[-2000:]}")
    expect(len(lines) == 1 and "--gpus all" in lines[0], f"what it says: {done.stderr[-2000:]}")
    expect(not list(output.iterdir()), f"left behind: {list(output.iterdir())}")
    bench.note("without a GPU", lines[0])
    for device in ("cpu", "auto"):
        output = bench.fresh("gpu")
        with stopwatch() as seconds:
            done = bench.segment(case, output, "challenge", "--device", device)
        expect(done.returncode == 0, f"{device}: {done.returncode}: {done.stderr[-2000:]}")
        report = json.loads((output / "result.json").read_text())
        expect("cpu" in json.dumps(report).lower(), f"{device}: no CPU in the report")
        bench.note(f"--device {device}", f"{seconds():.1f} s, {report['volume_ml']} ml")


def check_models(bench: Bench, all_models: bool) -> None:
    """The full image holds every model of the clone, a slim one the default alone."""
    listed = bench.run("models", "--json")
    expect(listed.returncode == 0, f"models: {listed.stderr}")
    held = {row["name"] for row in json.loads(listed.stdout) if "folder" in row}
    wanted = {path.parent.name for path in ROOT.glob("models/*/preset.json")}
    expect(held == (wanted if all_models else {"mixed-tuned"}), f"models: {held}")


def check_entry_point(bench: Bench) -> None:
    """Commands of wmhseg, programs of the image and mistakes are told apart."""
    who = bench.run("python", "-c", "import os, sys; print(os.getuid(), sys.prefix)")
    expect(who.stdout.split() == [USER.split(":")[0], "/opt/wmhseg"], who.stdout + who.stderr)
    own = bench.engine("run", "--rm", "--network=none", bench.image, "id", "-u").stdout.strip()
    expect(own == "1000", f"default user: {own}")
    for wrong in ("--no-such-option", "no-such-command"):
        done = bench.run(wrong)
        expect(done.returncode == EXIT_USAGE, f"{wrong}: exit code {done.returncode}")
        expect(len(done.stderr.splitlines()) == 1, f"{wrong}: {done.stderr}")


def check_documentation(bench: Bench, training: bool) -> None:
    """Every command's smallest case, and what README and docs show, run inside the image."""
    folder = bench.fresh("documentation", 0o755)
    for name in ("tests", "docs", "evaluation"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for page in [ROOT / "README.md", *ROOT.glob("models/*/*.md")]:
        copy = folder / page.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, copy)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    done = bench.run(
        *("python", "/documented/tests/sandbox.py", "/tmp/sandbox"),
        *(["--training"] if training else []),
        flags=(f"--volume={folder}:/documented:ro",),
    )
    expect(done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-1000:]}")
    bench.note("documented in the image", done.stdout.splitlines()[-1])


def check_users_protocol(bench: Bench, case: Path) -> None:
    """`run` with /input and /output segments and exits; the mask equals that of a run outside."""
    output = bench.fresh("users")
    with stopwatch() as seconds:
        done = bench.segment(case, output)
    expect(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}")
    bench.note("run, segment, exit", f"{seconds():.1f} s")
    expect(sorted(p.name for p in output.iterdir()) == ["result.json", "result.nii.gz"], "files")
    report = json.loads((output / "result.json").read_text())
    source = report["container"], report["inputs"]["FLAIR"]["path"]
    version = report["versions"]["wmhseg"]
    expect(source == (f"wmhseg:{version}", "/input/pre/FLAIR.nii.gz"), f"provenance: {source}")
    with stopwatch() as seconds:
        reference = bench.outside(case)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    bench.note("the same outside the image", f"{seconds():.1f} s, {peak_mb:.0f} MB resident")
    voxels = bench.compare(output / "result.nii.gz", reference)
    expect(voxels > 0, "the mask is empty: nothing was compared")
    bench.note("equal voxel by voxel", f"{voxels} WMH voxels")


def check_bids_app(bench: Bench, case: Path) -> None:
    """Called as BIDS Apps are, on a data set that can only be read, it writes derivatives."""
    data, output = bench.fresh("bids", 0o755), bench.fresh("derivatives")
    anat = data / "sub-01" / "anat"
    anat.mkdir(parents=True)
    for name, suffix in (("FLAIR", "FLAIR"), ("T1", "T1w")):
        shutil.copy(case / "pre" / f"{name}.nii.gz", anat / f"sub-01_{suffix}.nii.gz")
    (data / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    flags = (f"--volume={data}:/bids:ro", f"--volume={output}:/out")
    for level, code in (("participant", 0), ("group", 0), ("session", EXIT_BIDS_LEVEL)):
        done = bench.run("/bids", "/out", level, flags=flags)
        expect(done.returncode == code, f"{level}: {done.returncode}: {done.stderr[-2000:]}")
    stem = "sub-01_space-orig_label-L_desc-wmh_mask"
    mask = output / "sub-01" / "anat" / f"{stem}.nii.gz"
    bench.compare(mask, bench.outside(case), report_name=f"{stem}.json")
    made = json.loads((output / "dataset_description.json").read_text())["GeneratedBy"][0]
    expect(made["Container"]["Tag"].startswith("wmhseg:"), f"provenance: {made}")
    expect((output / "group_wmh.tsv").is_file(), "no table of everybody")


def check_challenge_protocol(bench: Bench, case: Path) -> None:
    """The organisers' five commands, with the result copied out of an unnamed volume."""
    original = case / "orig" if (case / "orig").is_dir() else bench.fresh("orig")
    volumes = bench.engine("volume", "ls", "--quiet").stdout.split()
    flags = (f"-v={original}:/input/orig:ro", f"-v={case / 'pre'}:/input/pre:ro", "-v=/output")
    result = bench.fresh("challenge") / "result"
    with bench.staying(*flags) as identity:
        with stopwatch() as seconds:
            bench.engine("exec", identity, "wmhseg")
        bench.note("exec wmhseg", f"{seconds():.1f} s")
        peak = bench.engine("exec", identity, "sh", "-c", _PEAK, check=False).stdout.split()
        if peak:
            bench.note(
                "peak memory", f"{int(peak[0]) / 1e6:.0f} MB (as the control group counts it)"
            )
        bench.engine("cp", f"{identity}:/output", result)
        with stopwatch() as seconds:
            bench.engine("stop", identity)
        bench.note("stop", f"{seconds():.1f} s")
        expect(seconds() < MAX_STOP_S, "the container had to be killed")
        bench.engine("rm", "-v", identity)
    left = set(bench.engine("volume", "ls", "--quiet").stdout.split()) - set(volumes)
    expect(not left, f"volumes left behind: {left}")
    bench.compare(result / "result.nii.gz", bench.outside(case))


def check_stop(bench: Bench, case: Path) -> None:
    """A segmentation that is stopped ends at once and leaves no file."""
    output = bench.fresh("stopped")
    mounts = (f"--volume={case}:/input:ro", f"--volume={output}:/output")
    options = (*CONFINED, *bench.engine.run_options, f"--user={USER}", *mounts)
    identity = bench.engine("run", "--detach", *options, bench.image).stdout.strip()
    try:
        deadline = time.monotonic() + 300
        while "segmenting" not in bench.engine("logs", identity).stderr:
            expect(time.monotonic() < deadline, "the run did not start to segment")
            time.sleep(0.2)
        with stopwatch() as seconds:
            bench.engine("stop", identity)
        bench.note("stop while segmenting", f"{seconds():.1f} s")
        code = bench.engine("inspect", "--format", "{{.State.ExitCode}}", identity).stdout.strip()
    finally:
        bench.engine("rm", "--force", identity, check=False)
    expect(int(code) == EXIT_TERMINATED, f"exit code {code}")
    expect(seconds() < MAX_STOP_S, "the container had to be killed")
    expect(not list(output.iterdir()), f"left behind: {list(output.iterdir())}")


def check_bad_input(bench: Bench, case: Path) -> None:
    """A missing scan, no mount at all and a closed output folder: one line and an exit code."""
    for missing in ("FLAIR.nii.gz", "T1.nii.gz"):
        partial = bench.fresh("partial", 0o755)
        (partial / "pre").mkdir()
        for scan in (case / "pre").glob("*.nii.gz"):
            if scan.name != missing:
                shutil.copy(scan, partial / "pre")
        output = bench.fresh("refused")
        _refused(bench.segment(partial, output), EXIT_MISSING_FILE, missing)
        expect(not list(output.iterdir()), f"{missing} missing, yet a file was written")
    _refused(bench.run(), EXIT_MISSING_FILE, "/input")
    closed = bench.fresh("closed", 0o755)
    _refused(bench.segment(case, closed), EXIT_NOT_WRITABLE, "/output")
    expect(not list(closed.iterdir()), "a file was written to a folder of another user")


def _refused(done: subprocess.CompletedProcess[str], code: int, named: str) -> None:
    lines = done.stderr.splitlines()
    expect(done.returncode == code, f"exit code {done.returncode}, not {code}: {done.stderr}")
    expect(len(lines) == 1, f"one line was expected: {done.stderr}")
    expect(named in lines[0], f"{named} is not named in: {lines[0]}")


def check_largest(bench: Bench) -> None:
    """The largest scans that are read, FLAIR and T1, are segmented within the memory limit."""
    folder = bench.fresh("largest", 0o755)
    subprocess.run([bench.python, "-c", scans.LARGEST, str(folder)], check=True, cwd=ROOT)
    flags = (f"-v={folder / 'pre'}:/input/pre:ro", "-v=/output")
    with bench.staying(*flags) as identity:
        with stopwatch() as seconds:
            done = bench.engine("exec", identity, "wmhseg", check=False, timeout_s=3600)
        expect(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-1000:]}")
        bench.note("512 x 512 x 512, float64, two", f"{seconds():.0f} s")
        peak = bench.engine("exec", identity, "sh", "-c", _PEAK, check=False).stdout.split()
        if peak:
            bench.note("its peak memory", f"{int(peak[0]) / 1e6:.0f} MB, files in cache included")


def check_cases(bench: Bench, folder: Path, only: list[str], results: Path) -> None:
    """The cases of a folder are segmented; the smallest gives the same mask outside.

    The masks are kept in ``results``, to be scored by whoever asked for them.
    """
    found = {scan for name in only for scan in folder.glob(f"{name}/pre/FLAIR.nii.gz")}
    ordered = sorted(found, key=lambda path: path.stat().st_size)
    expect(bool(ordered), f"no case {folder}/{only}/pre/FLAIR.nii.gz")
    failed = []
    for scan in ordered:
        case = scan.parents[1]
        output = bench.fresh("case")
        with stopwatch() as seconds:
            done = bench.segment(case, output)
        took_s = seconds()
        try:
            expect(done.returncode == 0, f"exit code {done.returncode}: {done.stderr.strip()}")
            if scan == ordered[0]:
                voxels = bench.compare(output / "result.nii.gz", bench.outside(case))
                bench.note(case.name, f"{voxels} WMH voxels, equal outside")
        except (AssertionError, subprocess.CalledProcessError) as error:
            failed.append(case.name)
            say(f"     {case.name}: {error}")
        else:
            bench.note(case.name, f"{took_s:.1f} s")
            shutil.copytree(output, results / case.name, dirs_exist_ok=True)
    expect(not failed, f"cases that failed: {', '.join(failed)}")


def synthetic_case(bench: Bench) -> Path:
    """Writes the case that the package ships."""
    folder = bench.fresh("synthetic")
    subprocess.run(
        [bench.python, "-m", "wmhseg", "demo", "--case-only", "--output", str(folder)],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    return folder / "input"


def part_of(bench: Bench, case: Path) -> Path:
    """Writes a quarter of a case's slices: the same steps in a quarter of the time."""
    folder = bench.fresh("part", 0o755)
    subprocess.run([bench.python, "-c", scans.PART, str(case), str(folder)], check=True, cwd=ROOT)
    return folder


def run_checks(bench: Bench, case: Path, cases: Path | None, chosen: argparse.Namespace) -> int:
    """Runs all checks, whatever fails; returns the number of failures."""
    part = case
    if not chosen.case and not any("gpu" in pair for pair in chosen.build_arg):
        part = part_of(bench, case)
        bench.note("users', BIDS and challenge protocol", f"on {scans.SLICES} slices of the case")
    results = chosen.results.resolve()
    training = not any("slim" in pair for pair in chosen.build_arg)
    checks: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        (check_labels, (bench,)),
        (check_contents, (bench,)),
        (check_entry_point, (bench,)),
        (check_models, (bench, "MODELS=default" not in chosen.build_arg)),
        (check_documentation, (bench, training)),
        (check_users_protocol, (bench, part)),
        (check_bids_app, (bench, part)),
        # A whole scan has to be segmented within the limits; where cases follow, these are, and the
        # note says of how many slices the rest is.
        (check_challenge_protocol, (bench, case if cases is None else part)),
        (check_stop, (bench, case)),
        (check_bad_input, (bench, case)),
    ]
    if any("gpu" in pair for pair in chosen.build_arg):
        # The other checks are about what the images have in common.
        checks = [
            (check_labels, (bench,)),
            (check_contents, (bench,)),
            (check_models, (bench, True)),
            (check_without_gpu, (bench, case)),
        ]
    if chosen.largest:
        checks.append((check_largest, (bench,)))
    if cases is not None:
        checks.append((check_cases, (bench, cases, chosen.only or ["*"], results)))
    failures = 0
    for check, arguments in checks:
        say(f"  …  {(check.__doc__ or '').splitlines()[0]}")
        with stopwatch() as seconds:
            try:
                check(*arguments)
            except (
                *(AssertionError, EngineError, OSError, ValueError, LookupError),
                subprocess.SubprocessError,
            ) as error:
                failures += 1
                say(f"FAIL {check.__name__} ({seconds():.0f} s): {type(error).__name__}: {error}")
            else:
                say(f"ok   {check.__name__} ({seconds():.0f} s)")
    return failures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Builds the container image and checks it.")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--no-build", action="store_true", help="check an image that is there")
    parser.add_argument(
        "--optional", action="store_true", help="where no engine can be had, say so and pass"
    )
    parser.add_argument("--image", default="wmhseg", metavar="TAG", help="default: wmhseg")
    parser.add_argument("--engine", choices=engines.KINDS, default="auto")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--max-gb", type=float, default=MAX_IMAGE_GB, help="largest size allowed (%(default)s)"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter that has wmhseg installed"
    )
    parser.add_argument("--case", type=Path, metavar="DIR", help="a case, DIR/pre/FLAIR.nii.gz")
    parser.add_argument("--cases", type=Path, metavar="DIR", help="cases, DIR/*/pre/FLAIR.nii.gz")
    parser.add_argument(
        "--only", action="append", metavar="PATTERN", help="of these cases; may be given again"
    )
    parser.add_argument(
        "--largest", action="store_true", help="and segment the largest scans that are read"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / "build" / "container",
        metavar="DIR",
        help="where the masks of --cases go (default: build/container)",
    )
    parser.add_argument(
        "--work", type=Path, default=CACHE, help=f"folder of a private podman (default: {CACHE})"
    )
    return parser.parse_args()


def main() -> int:
    # Containers and scratch files are removed on the way out, also when a CI's patience ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    chosen = arguments()
    try:
        with stopwatch() as seconds:
            found = engines.find(chosen.engine, chosen.work.resolve())
    except EngineError as error:
        if not chosen.optional:
            raise
        say(f"container checks: skipped. {error}")
        return 0
    say(f"engine: {found.name}, ready in {seconds():.0f} s")
    if not chosen.no_build:
        with stopwatch() as seconds:
            found.build(ROOT, chosen.image, dict(pair.split("=", 1) for pair in chosen.build_arg))
        say(f"image {chosen.image} built in {seconds():.0f} s")
    if chosen.build_only:
        return 0
    # Not /tmp: it may be a small disk in memory.
    with tempfile.TemporaryDirectory(prefix="wmhseg-check-", dir="/var/tmp") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        bench = Bench(found, chosen.image, chosen.python, folder, chosen.max_gb)
        case = chosen.case.resolve() if chosen.case else synthetic_case(bench)
        cases = chosen.cases.resolve() if chosen.cases else None
        failures = run_checks(bench, case, cases, chosen)
    for name, value in bench.facts:
        say(f"{name:<28}{value}")
    say("all checks passed" if not failures else f"{failures} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EngineError, subprocess.SubprocessError) as error:
        sys.exit(f"check_image: {error}")
