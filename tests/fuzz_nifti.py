"""Feeds damaged images to the reader and the doctor, for as long as wanted, and counts.

    python tests/fuzz_nifti.py --seconds 300          images, in a child of bounded memory

Every input must end in a result or in one clear line of this project's errors: no other exception,
no death, no hang, no more memory than the bound. What fails is kept in --keep, to become a test.
With atheris installed, --atheris lets it choose the mutations by coverage instead.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
from nifti_files import nifti1, nifti2

from wmhseg import errors
from wmhseg.checking import examine, findings
from wmhseg.io import images

ADDRESS_SPACE_BYTES = 4 << 30
RESIDENT_BYTES = 1200 << 20
ONE_INPUT_S = 20
_FLOATS = (0.0, -1.0, 1e-38, 1e38, 3.4e38, -0.0, 0.5, 1e-6, 1e9, float("nan"), float("inf"))
_SHORTS = (0, 1, 2, 3, -1, 7, 8, 32767, -32768, 256, 512, 1290)
# Byte offsets of the fields of nifti1.h: numbers of 2 and of 4 bytes.
_FIELDS_2 = (*range(40, 56, 2), 68, 70, 72, 74, 252, 254)
_FIELDS_4 = (0, *range(76, 124, 4), 140, 144, *range(256, 328, 4))


# Making inputs ----------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Good files of several kinds to begin with."""
    made = [nifti1(), nifti2(), nifti1(codes=(1, 1)), nifti1(codes=(2, 0), ndim=4)]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 900, 24 * 24 * 24)
    for dtype, code in (("<i2", 4), ("u1", 2), ("<f8", 64), ("<u4", 768)):
        size = np.dtype(dtype).itemsize * 8
        body = (noise % 256 if dtype == "u1" else noise).astype(dtype).tobytes()
        made.append(nifti1(body, sizes=(24, 24, 24), kind=(code, size)))
    made.append(nifti1(order=">", body=noise.astype(">i2").tobytes(), sizes=(24, 24, 24),
                       kind=(4, 16)))  # fmt: skip
    extension = b"\1\0\0\0" + struct.pack("<ii", 32, 6) + bytes(24)
    made.append(nifti1(offset=384.0, extension=extension))
    return [*made, *(gzip.compress(content, mtime=0) for content in made)]


def mutated(rng: random.Random, corpus: list[bytes]) -> tuple[str, bytes]:
    """One damaged file, and the kind of damage."""
    content = bytearray(rng.choice(corpus))
    if content[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        content = bytearray(gzip.decompress(bytes(content)))
    kind = rng.choice(("bytes", "field", "field", "field", "cut", "grow", "bits", "claim", "bomb",
                       "extension", "noise", "splice"))  # fmt: skip
    if kind in ("field", "claim", "extension") and content[:2] == b"\x1f\x8b":
        content = bytearray(gzip.decompress(bytes(content)))
    _DAMAGE[kind](rng, content)
    if kind == "splice":
        other = rng.choice(corpus)
        content = content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]
    if content[:2] != b"\x1f\x8b" and rng.random() < 0.4:
        content = bytearray(gzip.compress(bytes(content), 1, mtime=0))
        if rng.random() < 0.4:
            _flip(rng, content)
    return kind, bytes(content)


def _flip(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _bytes(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.randint(1, 20)):
        content[rng.randrange(min(len(content), 600))] = rng.randrange(256)


def _field(rng: random.Random, content: bytearray) -> None:
    order = "<" if content[0] else ">"
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.5:
            value = rng.choice(_SHORTS) if rng.random() < 0.7 else rng.randint(-32768, 32767)
            struct.pack_into(order + "h", content, rng.choice(_FIELDS_2), value)
        elif rng.random() < 0.8:
            value = rng.choice(_FLOATS) if rng.random() < 0.7 else rng.uniform(-1e3, 1e3)
            struct.pack_into(order + "f", content, rng.choice(_FIELDS_4), value)
        else:
            struct.pack_into("4s", content, rng.choice(_FIELDS_4), rng.randbytes(4))


def _claim(rng: random.Random, content: bytearray) -> None:
    """More voxels than there are: 2^31 and the like."""
    sizes = rng.choice(((2048, 1024, 1024), (32767, 32767, 2), (512, 512, 512), (1290, 1290, 1290)))
    struct.pack_into("<4h", content, 40, 3, *sizes)


def _extension(rng: random.Random, content: bytearray) -> None:
    """Extensions that claim, or are, far too much."""
    claimed = rng.choice((0, -1, 7, 2**31 - 1, 16, rng.randrange(1 << 20)))
    struct.pack_into("<f", content, 108, rng.choice((353.0, 1e6, 1e30, 2.0**24, 400.5, -352.0)))
    content[348:352] = b"\1\0\0\0"
    content[352:352] = struct.pack("<ii", claimed, 6) + bytes(rng.randrange(1 << 12))


def _bomb(rng: random.Random, content: bytearray) -> None:
    """Little that unpacks to much, or that never ends."""
    size = 1 << rng.randint(20, 28)
    if rng.random() < 0.5:
        whole = bytes(content[:352]) if content[:2] != b"\x1f\x8b" else nifti1(b"")
        packer = zlib.compressobj(9, wbits=31)
        content[:] = packer.compress(whole) + packer.compress(bytes(size)) + packer.flush()
    else:
        content[:] = gzip.compress(b"", mtime=0) * rng.randint(1, 1 << 14)


_DAMAGE = {
    "bytes": _bytes,
    "field": _field,
    "cut": lambda rng, content: content.__delitem__(slice(rng.randrange(len(content)), None)),
    "grow": lambda rng, content: content.extend(rng.randbytes(rng.randrange(1 << 12))),
    "bits": _flip,
    "claim": _claim,
    "bomb": _bomb,
    "extension": _extension,
    "noise": lambda rng, content: content.__setitem__(
        slice(4 if rng.random() < 0.5 else 0, None), rng.randbytes(rng.randrange(2000))
    ),
    "splice": lambda rng, content: None,
}


# Trying them ------------------------------------------------------------------------------------


def attempt(path: Path) -> str:
    """Reads and examines one file; names what came of it. Raises what must not happen."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            scan = images.read_scan(path, name="FLAIR")
            json.dumps(findings.to_dict(examine.examine(scan)), allow_nan=False)
        except errors.InputError as error:
            line = str(error)
            if not line.isprintable() or "Received:" not in line or not line.endswith("."):
                raise AssertionError(f"no clear line: {line!r}") from error
            return type(error).__name__
    return "read"


def peak_bytes() -> int:
    """Most memory this process has held. That of ``getrusage`` counts the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def child(seed: int, seconds: float, folder: Path) -> None:
    """Tries inputs until the time is over, and prints the counts as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    rng, corpus = random.Random(seed), seeds()
    ends, kinds = Counter[str](), Counter[str]()
    slowest, path = 0.0, folder / "input.nii"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        kind, content = mutated(rng, corpus)
        path.write_bytes(content)
        signal.alarm(ONE_INPUT_S)
        began = time.monotonic()
        ends[attempt(path)] += 1
        signal.alarm(0)
        slowest = max(slowest, time.monotonic() - began)
        kinds[kind] += 1
        resident = peak_bytes()
        if resident > RESIDENT_BYTES:
            raise MemoryError(f"{resident} bytes resident")
        (folder / "counts.json").write_text(json.dumps([ends, kinds, slowest, resident]))


def fuzz(seconds: float, seed: int, keep: Path) -> int:
    """Runs children until the time is over; a child that fails leaves its input behind."""
    ends, kinds, failures = Counter[str](), Counter[str](), []
    slowest = resident = 0.0
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 1:
        with tempfile.TemporaryDirectory(prefix="wmhseg-fuzz-") as name:
            folder = Path(name)
            words = [sys.executable, __file__, "--child", str(seed), name, "--seconds", f"{left}"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=left + 120)
            if (folder / "counts.json").exists():
                counts = json.loads((folder / "counts.json").read_text())
                ends.update(counts[0])
                kinds.update(counts[1])
                slowest, resident = max(slowest, counts[2]), max(resident, counts[3])
            if done.returncode:
                keep.mkdir(parents=True, exist_ok=True)
                if (folder / "input.nii").exists():
                    (folder / "input.nii").replace(keep / f"seed-{seed}.nii")
                lines = done.stderr.strip().splitlines()
                failures.append(f"seed {seed}: {done.returncode}: {lines[-1] if lines else ''}")
        seed += 1
    print(f"inputs tried        {sum(ends.values()) + len(failures)}")
    print("by damage           " + ", ".join(f"{k} {n}" for k, n in sorted(kinds.items())))
    print("ended as            " + ", ".join(f"{k} {n}" for k, n in ends.most_common()))
    print(f"slowest input       {slowest:.2f} s (bound {ONE_INPUT_S} s)")
    print(f"most memory         {resident / 2**20:.0f} MB resident (bound "
          f"{RESIDENT_BYTES >> 20} MB; address space {ADDRESS_SPACE_BYTES >> 20} MB)")  # fmt: skip
    print(f"crashes or hangs    {len(failures)}")
    print("\n".join(failures[:20]))
    return 1 if failures else 0


def fuzz_with_atheris(seconds: float, keep: Path) -> None:
    """Coverage of this package's code chooses the mutations; does not return."""
    import atheris

    keep.mkdir(parents=True, exist_ok=True)
    # Loaded without it above; what is reloaded is instrumented.
    from wmhseg.io import gunzip, nifti

    for module in (gunzip, nifti):
        for name, value in list(vars(module).items()):
            if hasattr(value, "__code__") and value.__module__ == module.__name__:
                setattr(module, name, atheris.instrument_func(value))
    folder = Path(tempfile.mkdtemp(prefix="wmhseg-fuzz-"))
    for index, content in enumerate(seeds()):
        (folder / f"{index}").write_bytes(content)
    path = Path(tempfile.mkdtemp(prefix="wmhseg-fuzz-")) / "input.nii"

    def one(data: bytes) -> None:
        path.write_bytes(data)
        attempt(path)

    options = [f"-max_total_time={seconds:.0f}", f"-timeout={ONE_INPUT_S}", "-max_len=60000",
               f"-rss_limit_mb={RESIDENT_BYTES >> 20}", f"-artifact_prefix={keep}/",
               "-print_final_stats=1"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(folder)], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="default: 60")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz", metavar="DIR")
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("SEED", "DIR"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(int(chosen.child[0]), chosen.seconds, Path(chosen.child[1]))
        return 0
    if chosen.atheris:
        fuzz_with_atheris(chosen.seconds, chosen.keep)
    return fuzz(chosen.seconds, chosen.seed, chosen.keep)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
