"""Finds a container engine, or prepares one where none runs.

Docker if its daemon answers; else podman if it can start a container; else, for root on a Debian
machine, podman with settings and storage in a folder of its own. Where no registry can be reached,
a minimal Debian 12 with its Python 3.11 stands in for the base image python:3.11-slim.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BASE = "docker.io/library/python:3.11-slim"
KINDS = ("auto", "docker", "podman", "private")
_SUITE = "bookworm"  # its python3 is the 3.11 of BASE
_PULL_TIMEOUT_S = 300
_RUN_TIMEOUT_S = 900

# crun fails on hybrid control groups and the usual limits are refused inside virtual machines.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/store"
runroot = "{folder}/run"
"""


class EngineError(Exception):
    """No engine, or a command of it failed."""


def say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Engine:
    """A container engine as a command, and the environment it needs."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    build_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()

    def __call__(
        self, *arguments: str | Path, check: bool = True, timeout_s: float = _RUN_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of the engine without a terminal; returns what it printed."""
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env={**os.environ, **self.environment},
        )
        if check and done.returncode:
            raise EngineError(
                f"{self.name} {' '.join(map(str, arguments))} ended with {done.returncode}:\n"
                f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return done

    def build(self, context: Path, tag: str, arguments: dict[str, str]) -> None:
        """Builds the image, its output going to this process' own."""
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        subprocess.run(
            [*self.command, "build", *self.build_options, *options, "--tag", tag, str(context)],
            stdin=subprocess.DEVNULL,
            check=True,
            env={**os.environ, **self.environment},
        )
        if self.environment:
            # In a storage of our own, nobody else removes what the new image has replaced.
            self("image", "prune", "--force", check=False)


def find(kind: str, folder: Path) -> Engine:
    """Returns an engine that can build the image, with the base image at hand.

    Args:
        kind: One of KINDS.
        folder: Where a private podman keeps settings, storage and the stand-in base image.

    Raises:
        EngineError: If there is none and none can be prepared.
    """
    if kind in ("auto", "docker") and shutil.which("docker"):
        engine = Engine("docker", ("docker",))
        if engine("version", "--format", "{{.Server.Version}}", check=False).returncode == 0:
            return engine
    if kind in ("auto", "podman") and shutil.which("podman"):
        engine = _podman("podman", {})
        # As root the default settings may not work at all; `/:O` is the root folder, copy on write.
        probe = ("run", "--rm", "--network=none", "--rootfs", "/:O", "/bin/true")
        if os.getuid() or engine(*probe, check=False).returncode == 0:
            _provide_base(engine, folder)
            return engine
    if kind in ("docker", "podman"):
        raise EngineError(f"{kind} was asked for and does not run here.")
    engine = _private_podman(folder)
    _provide_base(engine, folder)
    return engine


def _podman(name: str, environment: dict[str, str]) -> Engine:
    """Podman; builds see the host's CA bundle and pip settings, the image keeps neither."""
    mounts = []
    bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    settings = os.environ.get("PIP_CONFIG_FILE", "/etc/pip.conf")
    for source, target in (
        (bundle, "/etc/ssl/certs/ca-certificates.crt"),
        (settings, "/etc/pip.conf"),
    ):
        if Path(source).is_file():
            mounts.append(f"--volume={source}:{target}:ro")
    return Engine(
        name,
        ("podman",),
        environment,
        # Docker's format, because podman's own knows no SHELL and no HEALTHCHECK.
        ("--format=docker", "--layers", "--network=host", "--pull=never", *mounts),
        # Podman adds temporary file systems to read-only containers of its own accord; docker not.
        ("--read-only-tmpfs=false",),
    )


def _private_podman(folder: Path) -> Engine:
    """Podman of the distribution with settings that work for root in a virtual machine."""
    if os.getuid() or not shutil.which("apt-get"):
        raise EngineError(
            "A running docker or podman was expected, or root on a Debian machine to set one up."
        )
    install("podman", "buildah", "runc")
    folder.mkdir(parents=True, exist_ok=True)
    containers, storage = folder / "containers.conf", folder / "storage.conf"
    containers.write_text(_CONTAINERS_CONF)
    storage.write_text(_STORAGE_CONF.format(folder=folder))
    environment = {
        "CONTAINERS_CONF": str(containers),
        "CONTAINERS_STORAGE_CONF": str(storage),
    }
    say("engine: private podman; to use it by hand:")
    say("  export " + " ".join(f"{name}={value}" for name, value in environment.items()))
    return _podman("private podman", environment)


def install(*packages: str, program: str = "") -> None:
    """Installs Debian packages whose program, of the same name or another, is missing."""
    missing = [name for name in packages if not shutil.which(program or name)]
    if not missing:
        return
    say(f"installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        subprocess.run(
            command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr
        )


def _provide_base(engine: Engine, folder: Path) -> None:
    """Makes sure that the base image is there: kept from before, pulled, or a stand-in."""
    if engine("image", "exists", BASE, check=False).returncode == 0:
        say(f"base image: {BASE}, already here")
        return
    try:
        pulled = engine("pull", "--quiet", BASE, check=False, timeout_s=_PULL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        say(f"pulling {BASE} took longer than {_PULL_TIMEOUT_S} s")
    else:
        if pulled.returncode == 0:
            say(f"base image: {BASE}, pulled")
            return
    say(f"base image: {BASE} cannot be pulled; Debian {_SUITE} with python3 stands in for it")
    if os.getuid():
        raise EngineError("A stand-in for the base image can be made by root only.")
    changes = (
        'CMD ["python3"]',
        "ENV LANG=C.UTF-8",
        "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    )
    engine("import", *(f"--change={change}" for change in changes), stand_in(folder), BASE)


def stand_in(folder: Path) -> Path:
    """Makes the stand-in's root file system, once."""
    target = folder / f"base-{_SUITE}.tar"
    if target.is_file():
        return target
    install("mmdebstrap")
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished.tar")
    # The host's own package sources where they are of this suite: they may be a mirror.
    sources = [
        path
        for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
        if path.is_file() and _SUITE in path.read_text()
    ]
    subprocess.run(
        [
            *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar", "--quiet"),
            "--include=ca-certificates,netbase,tzdata,python3,python3-venv",
            # Like the real image: a python3 in /usr/local that pip may install into.
            '--customize-hook=chroot "$1" python3 -m venv --copies /usr/local',
            '--customize-hook=rm -f "$1/etc/hosts"; : > "$1/etc/resolv.conf"',
            *(_SUITE, str(unfinished), *map(str, sources[:1])),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )
    unfinished.rename(target)
    return target
