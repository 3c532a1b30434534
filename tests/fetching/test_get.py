"""``wmhseg models get`` against a server on this computer that fails in every way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import file_server as servers
import pytest
from conftest import ROOT
from file_server import Answering, left_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wmhseg import errors, records
from wmhseg.cli.main import main
from wmhseg.fetching import archive, download, index, installing, pack, partial
from wmhseg.fetching.download import Patience
from wmhseg.weights import known, store

NAME = "uresnet-synthetic"  # the smallest
ASSET = index.find(NAME)
FOLDER = ROOT / "models" / NAME
PATH = f"/{ASSET.file}"
PART = f".wmhseg-{NAME}-{ASSET.sha256[:12]}.part"
HASTY = Patience(timeout_s=0.4, tries=3, pause_s=0.01, window_s=0.3, window_bytes=2**16)


@pytest.fixture(scope="module")
def content() -> bytes:
    made = io.BytesIO()
    archive.pack(FOLDER, made)
    return made.getvalue()


@pytest.fixture
def server(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Answering]:
    with servers.serving(tmp_path_factory.mktemp("server"), monkeypatch) as answering:
        answering.files[PATH] = content
        yield answering


@dataclass
class Getting:
    """Gets the model into a folder."""

    server: Answering
    into: Path

    def __call__(self, source: str | None = None, patience: Patience = HASTY) -> store.Model:
        source = self.server.url if source is None else source
        return installing.get(ASSET, source, into=self.into, patience=patience)

    def fails(self, kind: type[errors.WmhsegError], source: str | None = None) -> str:
        with pytest.raises(kind) as caught:
            self(source)
        line = str(caught.value)
        assert "\n" not in line
        assert "Received: " in line
        return line

    @property
    def ranges(self) -> list[str]:
        return [wanted for _, wanted in self.server.asked]


@pytest.fixture
def getting(server: Answering, tmp_path: Path) -> Getting:
    return Getting(server, tmp_path / "models")


def check_installed(into: Path) -> None:
    """The model is there as it is in the clone, and nothing else, hidden or not."""
    assert left_in(into) == [NAME]
    made = into / NAME
    assert {p.name: p.read_bytes() for p in made.iterdir()} == {
        p.name: p.read_bytes() for p in FOLDER.iterdir()
    }


def begun(into: Path, content: bytes, tag: str = "") -> None:
    """Leaves a part of a file there, as an earlier call did."""
    into.mkdir(parents=True)
    (into / PART).write_bytes(content)
    if tag:
        (into / f"{PART}.etag").write_text(tag)


def test_the_index_is_of_these_models() -> None:
    made = pack.index_of(ROOT / "models")
    told = (ROOT / "wmhseg" / "data" / "models.json").read_text("utf-8")
    assert records.dumps(made) == told, (
        "python -m wmhseg.fetching.pack --models models --index wmhseg/data/models.json"
    )
    assert [one.name for one in made.models] == [one.name for one in known.KNOWN]
    assert all(one.size < archive.MOST_BYTES for one in made.models)


def test_the_address_is_said_by_somebody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No address is made up: the project's, if it has one, or the user's."""
    monkeypatch.delenv(index.VARIABLE, raising=False)
    assert pack.repository(ROOT / "pyproject.toml") == index.load().repository
    page = tmp_path / "pyproject.toml"
    page.write_text('[project]\nurls = {Repository = "https://github.com/x/y/"}\n')
    found = pack.repository(page)
    nowhere = index.Index(index.FORMAT, None, index.load().models)
    released = index.Index(index.FORMAT, found, index.load().models)
    monkeypatch.setattr(index, "load", lambda: released)
    monkeypatch.setattr(index, "__version__", "1.2.3")
    assert index.address() == "https://github.com/x/y/releases/download/v1.2.3"
    monkeypatch.setenv(index.VARIABLE, "https://mirror.example/models")
    assert index.address() == "https://mirror.example/models"
    monkeypatch.setenv(index.VARIABLE, " ")
    monkeypatch.setattr(index, "load", lambda: nowhere)
    assert index.address() is None
    assert main(["models", "get", NAME, "--into", str(tmp_path / "m")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "knows of none" in line
    assert "--from URL, --from FILE, or $WMHSEG_MODELS_URL" in line
    assert not (tmp_path / "m").exists()


def test_whole(getting: Getting) -> None:
    told: list[tuple[int, int]] = []
    telling = installing.Telling(progress=lambda done, total: told.append((done, total)))
    source = getting.server.url + "/"
    made = installing.get(ASSET, source, into=getting.into, telling=telling)
    check_installed(getting.into)
    assert made.folder == getting.into / NAME
    assert store.load(made, made.preset.members[0])
    assert told[0] == (0, ASSET.size)
    assert told[-1] == (ASSET.size, ASSET.size)
    assert told == sorted(told)
    assert getting.server.asked == [(PATH, "")]


def test_from_files(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file itself, or the folder that holds it; the network is left alone."""
    monkeypatch.setattr(download, "fetch", None)
    (tmp_path / ASSET.file).write_bytes(content)
    (tmp_path / "renamed").write_bytes(content)
    for number, source in enumerate((tmp_path, tmp_path / ASSET.file, tmp_path / "renamed")):
        into = tmp_path / str(number)
        installing.get(ASSET, str(source), into=into)
        check_installed(into)
    (tmp_path / "renamed").write_bytes(content[:-1] + b"x")
    for source, kind in (
        ("renamed", errors.ChecksumError),
        ("nowhere.zip", errors.MissingFileError),
    ):
        with pytest.raises(kind):
            installing.get(ASSET, str(tmp_path / source), into=tmp_path / "other")
    assert left_in(tmp_path / "other") == []


@pytest.mark.parametrize("tag", ['"1"', ""])
def test_a_cut_connection_goes_on(getting: Getting, tag: str) -> None:
    getting.server.tag = tag
    getting.server.ways[PATH] = [servers.cut(700_001), servers.cut(1000)]
    getting()
    check_installed(getting.into)
    assert getting.ranges == ["", "bytes=700001-", "bytes=701001-"]


def test_the_next_call_goes_on(getting: Getting, content: bytes) -> None:
    getting.server.ways[PATH] = [servers.cut(500_000), servers.cut(0), servers.cut(0)]
    line = getting.fails(errors.DownloadError)
    assert f"after 500000 of {ASSET.size} bytes (3 tries). Run the command again" in line
    assert left_in(getting.into) == [PART, f"{PART}.etag"]
    assert (getting.into / PART).read_bytes() == content[:500_000]
    assert main(["models", "get", NAME, "--into", str(getting.into), "--from", getting.server.url,
                 "--quiet"]) == 0  # fmt: skip
    check_installed(getting.into)
    assert getting.ranges[-1] == "bytes=500000-"


def test_another_file_by_now_is_fetched_anew(getting: Getting, content: bytes) -> None:
    """The server knows by the tag; where it has none, the checksum tells in the end."""
    begun(getting.into, b"x" * 1000, '"0"')
    getting()
    check_installed(getting.into)
    assert getting.ranges == ["bytes=1000-"]  # answered by all of it
    shutil.rmtree(getting.into)
    begun(getting.into, b"x" * 1000)
    getting()
    check_installed(getting.into)
    assert getting.ranges[1:] == ["bytes=1000-", ""]


@pytest.mark.parametrize("held", [ASSET.size, ASSET.size + 5])
def test_a_part_that_is_no_part(getting: Getting, content: bytes, held: int) -> None:
    begun(getting.into, (content + bytes(5))[:held])
    getting()
    check_installed(getting.into)
    assert getting.ranges == ([] if held == ASSET.size else [""])


def test_odd_answers_to_a_range(getting: Getting, content: bytes) -> None:
    """Another part, and none: both begin anew."""
    for way in (
        servers.status(206, Content_Range=f"bytes 7-9/{ASSET.size}"),
        servers.status(206),
        servers.status(416),
    ):
        begun(getting.into, content[:1000], '"1"')
        getting.server.ways[PATH] = [way]
        getting()
        check_installed(getting.into)
        assert getting.ranges[-2:] == ["bytes=1000-", ""]
        shutil.rmtree(getting.into)


def test_a_wrong_checksum(getting: Getting, content: bytes) -> None:
    getting.server.files[PATH] = content[:-1] + b"x"
    line = getting.fails(errors.ChecksumError)
    assert ASSET.sha256 in line
    assert left_in(getting.into) == []


def test_too_long(getting: Getting, content: bytes) -> None:
    getting.server.files[PATH] = content + b"x"
    assert f"Received: {ASSET.size + 1} bytes" in getting.fails(errors.DownloadError)
    assert left_in(getting.into) == []
    # One that does not say so beforehand, and would go on.
    getting.server.ways[PATH] = [servers.plain(content + bytes(2**20))]
    assert "Received: more." in getting.fails(errors.DownloadError)
    assert left_in(getting.into) == []
    assert len(getting.server.asked) == 2


def test_packed_answers_are_refused(getting: Getting) -> None:
    getting.server.ways[PATH] = [servers.plain(b"", 0, Content_Encoding="gzip")]
    assert "encoded as gzip" in getting.fails(errors.DownloadError)


def test_not_there(getting: Getting) -> None:
    line = getting.fails(errors.DownloadError, f"{getting.server.url}/nowhere/")
    assert f"{getting.server.url}/nowhere/{ASSET.file} was expected to be there" in line
    assert "Received: 404 Not Found. Check the address (--from)" in line
    assert len(getting.server.asked) == 1
    assert left_in(getting.into) == []


def test_a_busy_server(getting: Getting) -> None:
    getting.server.ways[PATH] = [servers.status(503), servers.status(429)]
    getting()
    check_installed(getting.into)
    shutil.rmtree(getting.into)
    getting.server.ways[PATH] = [servers.status(503)] * 3
    assert "503 Service Unavailable (3 tries)" in getting.fails(errors.DownloadError)
    assert left_in(getting.into) == []


def test_redirects(getting: Getting) -> None:
    """To https, also by half an address, five at most."""
    url, ways = getting.server.url, getting.server.ways
    chain = ["/1", "2", f"{url}/3", "/4", PATH]
    ways[PATH] = [servers.moved(chain[0])]
    ways |= {f"/{i}": [servers.moved(chain[i])] for i in range(1, 5)}
    getting()
    check_installed(getting.into)
    assert [path for path, _ in getting.server.asked] == [PATH, "/1", "/2", "/3", "/4", PATH]
    shutil.rmtree(getting.into)
    ways[PATH] = [servers.moved(PATH)] * 6
    assert "5 redirects at most" in getting.fails(errors.DownloadError)
    assert len(getting.server.asked) == 12


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://localhost/x", "ftp://localhost/x", "data:,x", "http:"]
)
def test_redirects_elsewhere_are_refused(getting: Getting, target: str) -> None:
    getting.server.ways[PATH] = [servers.moved(target)]
    line = getting.fails(errors.DownloadError)
    assert f'begins with https://. Received: "{target}"' in line
    assert len(getting.server.asked) == 1
    assert left_in(getting.into) == []


@pytest.mark.parametrize(
    "source",
    ["http://localhost/x.zip", "file:///etc/passwd", "ftp://localhost/", "https://", "HTTP://x/",
     "https://a b/", "https://localhost:x/", "https://u:secret@localhost/", "file:x"],
)  # fmt: skip
def test_addresses_that_are_not_asked(getting: Getting, source: str) -> None:
    line = getting.fails(errors.UsageError, source)
    assert "https://" in line or "name and password" in line
    assert "secret" not in line
    assert getting.server.asked == []


def test_a_server_that_says_nothing(getting: Getting) -> None:
    never = threading.Event()
    getting.server.ways[PATH] = [servers.held(100, never)] * 3
    started = time.monotonic()
    line = getting.fails(errors.DownloadError)
    never.set()
    assert "timed out" in line
    assert f"after 100 of {ASSET.size} bytes" in line
    assert 3 * HASTY.timeout_s < time.monotonic() - started < 30


def test_a_server_that_dribbles(getting: Getting) -> None:
    def dribble(handler: servers.Handler, content: bytes | None) -> None:
        handler.head(200, ASSET.size)
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)

    getting.server.ways[PATH] = [dribble] * 3
    assert "hardly anything in 0.3 s" in getting.fails(errors.DownloadError)


def test_strangers_are_not_trusted(getting: Getting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    line = getting.fails(errors.DownloadError)
    assert "A certificate that this computer trusts was expected" in line
    assert "SSL_CERT_FILE" in line
    assert getting.server.asked == []
    assert left_in(getting.into) == []


def test_nobody_answers(getting: Getting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "refused" in getting.fails(errors.DownloadError, "https://localhost:1/")
    assert left_in(getting.into) == []


def test_proxies_of_the_environment(getting: Getting, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.proxying() as (address, tunnels):
        monkeypatch.setenv("https_proxy", address)
        getting(patience=Patience())
        check_installed(getting.into)
        assert tunnels == [getting.server.url.removeprefix("https://")]
        shutil.rmtree(getting.into)
        monkeypatch.setenv("no_proxy", "localhost")
        getting()
        assert len(tunnels) == 1


def test_folders_that_take_nothing(getting: Getting, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    getting.into = tmp_path / "file" / "models"
    getting.fails(errors.OutputNotWritableError)
    assert getting.server.asked == []


def test_little_room_is_told_before(getting: Getting, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    line = getting.fails(errors.DiskFullError)
    assert "Room for 4 MB was expected" in line
    assert "Received: 3 MB" in line
    assert getting.server.asked == []


def test_what_is_there_stays(getting: Getting) -> None:
    """Another model of that name, or a folder of anything."""
    (getting.into / NAME).mkdir(parents=True)
    (getting.into / NAME / "mine").write_text("1")
    getting.fails(errors.OutputNotWritableError)
    assert left_in(getting.into) == [NAME]
    (getting.into / NAME / "preset.json").write_text((FOLDER / "preset.json").read_text() + "\n")
    with pytest.raises(errors.ChecksumError, match="models remove"):
        installing.installed(ASSET, getting.into)
    assert left_in(getting.into / NAME) == ["mine", "preset.json"]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 400_000), max_size=6))
def test_whatever_is_cut_where_the_file_is_the_file(
    server: Answering, content: bytes, tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    """A law: pieces of any lengths, in calls of two tries each, add up to the file."""
    server.ways[PATH] = [servers.cut(after) for after in cuts]
    path = tmp_path_factory.mktemp("law") / "file"
    two = Patience(timeout_s=10, tries=2, pause_s=0)
    for _ in range(len(cuts) // 2 + 1):
        with partial.opened(path, lambda: None) as coming:
            try:
                download.fetch(
                    f"{server.url}{PATH}", coming, ASSET.size, progress=lambda *_: None,
                    patience=two,
                )  # fmt: skip
            except errors.DownloadError:
                assert coming.size < ASSET.size
                assert content.startswith(path.read_bytes())
                continue
            break
    assert hashlib.sha256(path.read_bytes()).hexdigest() == ASSET.sha256


# As a program of its own ------------------------------------------------------------------------


def started(into: Path, url: str, before: str = "") -> subprocess.Popen[str]:
    words = ["models", "get", NAME, "--into", str(into), "--from", url]
    shell = f'{before} exec "$@"'
    return subprocess.Popen(
        ["bash", "-c", shell, "bash", sys.executable, "-m", "wmhseg", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_disk_that_fills(getting: Getting) -> None:
    """A limit on the size of files stands for it: the system says the same to a program."""
    process = started(getting.into, getting.server.url, "ulimit -f 1000;")
    _, told = process.communicate(timeout=300)
    assert process.returncode == errors.DiskFullError.exit_code, told
    assert told.splitlines()[-1].startswith("wmhseg: error: Room on the disk was expected")
    assert told.count("wmhseg: ") == 1
    assert left_in(getting.into) == []


def test_terminated_and_called_again(getting: Getting, content: bytes) -> None:
    ever = threading.Event()
    getting.server.ways[PATH] = [servers.held(1_000_000, ever)]
    process = started(getting.into, getting.server.url)
    part = getting.into / PART
    wait_for(lambda: part.exists() and part.stat().st_size == 1_000_000)
    process.terminate()
    _, told = process.communicate(timeout=300)
    ever.set()
    assert process.returncode == errors.EXIT_TERMINATED, told
    assert left_in(getting.into) == [PART, f"{PART}.etag"]
    getting()
    check_installed(getting.into)
    assert getting.ranges == ["", "bytes=1000000-"]


def test_two_at_once(getting: Getting) -> None:
    """One fetches, the other waits and finds it done."""
    until = threading.Event()
    getting.server.ways[PATH] = [servers.held(1000, until)]
    first = started(getting.into, getting.server.url)
    wait_for(lambda: bool(getting.server.asked))
    second = started(getting.into, getting.server.url)
    assert second.stderr is not None
    assert "another process fetches" in second.stderr.readline()
    until.set()
    for process in (first, second):
        printed, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
        assert f"{NAME}: 1 members in {getting.into / NAME}" in printed
    check_installed(getting.into)
    assert len(getting.server.asked) == 1


def test_the_network_is_used_by_get_alone(tmp_path: Path) -> None:
    """Neither by an import nor by a list, nor where a known model is missing."""
    code = """
import sys
used = []
sys.addaudithook(lambda event, _: used.append(event) if event.startswith("socket.") else None)
import wmhseg
from wmhseg.cli.main import main
from wmhseg.weights import store
codes = [main(["models", "--json"])]
store.package_folders = lambda: []
codes += [main(["segment", "--model", "mixed-synthetic", "--flair", "f.nii", "--output", "m.nii"])]
print("CODES", codes, used, "wmhseg.fetching.download" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_DATA_HOME": str(tmp_path),
            "WMHSEG_MODELS_URL": "https://localhost:1",
        },
        capture_output=True,
        text=True,
    )
    assert "CODES [0, 100] [] False" in done.stdout, done.stdout + done.stderr


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def default_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As where the package came from a registry; gives the user's own folder."""
    package = tmp_path / "package"
    package.mkdir()
    (package / store.DEFAULT_MODEL).symlink_to(ROOT / "models" / store.DEFAULT_MODEL)
    monkeypatch.setattr(store, "package_folders", lambda: [package])
    monkeypatch.delenv("WMHSEG_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "wmhseg" / "models"


def test_from_the_list_to_the_model_and_back(
    default_alone: Path, server: Answering, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(index.VARIABLE, server.url)
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert f'"wmhseg models get {NAME}" fetches it' in listed
    assert "size          about 2 MB to get" in listed
    assert main(["models", "get", NAME]) == 0
    assert capsys.readouterr().out == f"{NAME}: 1 members in {default_alone / NAME}\n"
    check_installed(default_alone)
    assert store.find(NAME).folder == default_alone / NAME
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[NAME]["size"], rows[NAME]["folder"]) == ("2 MB", str(default_alone / NAME))
    assert main(["models", "get", NAME]) == 0
    assert "installed already" in capsys.readouterr().out
    assert len(server.asked) == 1
    # Damaged, it is told of and got again once it is removed.
    weights = default_alone / NAME / "0.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert main(["models", "get", NAME]) == errors.ChecksumError.exit_code
    assert main(["models", "remove", NAME]) == 0
    assert left_in(default_alone) == []
    assert main(["models", "remove", NAME]) == errors.UnknownModelError.exit_code


def test_where_models_are_put(
    default_alone: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / ASSET.file).write_bytes(content)
    words = ["models", "get", NAME, "--from", str(tmp_path)]
    first, other = tmp_path / "first", tmp_path / "other"
    monkeypatch.setenv("WMHSEG_MODELS", f"{first}{os.pathsep}{other}")
    assert main(words) == 0
    check_installed(first)
    assert main([*words, "--into", str(other)]) == 0
    assert "are not looked for" not in capsys.readouterr().err
    assert main([*words, "--into", str(tmp_path / "third")]) == 0
    assert f"not looked for in {tmp_path / 'third'}" in capsys.readouterr().err
    # Without a home folder there is no place, and never the package's own.
    monkeypatch.delenv("WMHSEG_MODELS")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError()))
    with pytest.raises(errors.UsageError, match="--into"):
        installing.place(None)


def test_all(
    default_alone: Path, server: Answering, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    small = (index.find(store.DEFAULT_MODEL), ASSET)
    monkeypatch.setattr(index, "load", lambda: index.Index(1, None, small))
    assert main(["models", "get", "--all", "--from", server.url]) == 0
    out = capsys.readouterr().out
    assert f"{store.DEFAULT_MODEL}: installed already" in out
    check_installed(default_alone)
    for words in ([], ["x", "--all"]):
        assert main(["models", "get", *words]) == 2
    assert main(["models", "get", "x"]) == errors.UnknownModelError.exit_code


def test_what_is_not_ours_is_not_removed(default_alone: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="came with the package"):
        installing.remove(store.DEFAULT_MODEL)
    mine = default_alone / "mine"
    shutil.copytree(FOLDER, mine)
    with pytest.raises(errors.UnknownModelError):
        installing.remove("mine")
    model = default_alone / NAME
    shutil.copytree(FOLDER, model)
    (model / "notes").mkdir()
    with pytest.raises(errors.UsageError, match="plain files"):
        installing.remove(NAME)
    (model / "notes").rmdir()
    shutil.move(model, tmp_path / "elsewhere")
    model.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.UsageError, match="no link"):
        installing.remove(NAME)
    assert left_in(default_alone) == ["mine", NAME]
