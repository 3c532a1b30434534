"""Chromium without a window, told what to do through a pipe: the standard library is enough.

It speaks the protocol of Chromium's own developer tools (``--remote-debugging-pipe``). Nothing is
installed for it: where there is no Chromium, tests of it are skipped and say so.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE_S = 90.0


def found() -> str | None:
    """The program, None if there is none."""
    named = os.environ.get("WMHSEG_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser.

    Attributes:
        requests: Addresses that the page has asked for, but for data and blobs of its own.
        complaints: What stands in its console as a warning of security or an error, and exceptions.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._number, self._rest = 0, b""
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def _told(self) -> dict[str, Any]:
        """The next message."""
        until = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0, until - time.monotonic()))
            part = os.read(self._reading, 1 << 16) if ready else b""
            if not part:
                raise TimeoutError(f"the browser says nothing; before: {self.complaints}")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def say(self, method: str, **values: Any) -> dict[str, Any]:
        """Gives a command and waits for the answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if self._session is not None:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._writing, content) :]
        while True:
            told = self._told()
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                result: dict[str, Any] = told["result"]
                return result
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        values = told.get("params", {})
        kind = told.get("method")
        if kind == "Network.requestWillBeSent":
            address = values["request"]["url"]
            if not address.startswith(("data:", "blob:")):
                self.requests.append(address)
        elif kind == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(values["exceptionDetails"])[:1000])
        elif kind == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.complaints.append(values["entry"]["text"])
        elif kind == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
            self.complaints.append(json.dumps(values["args"])[:1000])

    def open(self, address: str, width: int = 1000, height: int = 900) -> None:
        """Goes to an address, with what is on record forgotten."""
        self._attach()
        self.say(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.requests, self.complaints = [], []
        self.say("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def _attach(self) -> None:
        """Opens the page, once."""
        if self._session is None:
            target = self.say("Target.createTarget", url="about:blank")["targetId"]
            answer = self.say("Target.attachToTarget", targetId=target, flatten=True)
            self._session = answer["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.say(f"{domain}.enable")

    def value(self, expression: str) -> Any:
        """What a piece of JavaScript comes to; a promise is waited for."""
        answer = self.say(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits for a piece of JavaScript to be true."""
        until = time.monotonic() + _PATIENCE_S
        while not self.value(expression):
            if time.monotonic() > until:
                raise TimeoutError(f"{expression}; complaints: {self.complaints}")
            time.sleep(0.05)

    def scheme(self, name: str) -> None:
        """Asks pages to be "light" or "dark"."""
        self._attach()
        wanted = [{"name": "prefers-color-scheme", "value": name}]
        self.say("Emulation.setEmulatedMedia", features=wanted)

    def picture(self, path: Path, *, whole: bool = False) -> bytes:
        """Writes what the page looks like; returns the PNG."""
        self.say("Page.bringToFront")
        shot = self.say("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        content = base64.b64decode(shot["data"])
        path.write_bytes(content)
        return content


@contextlib.contextmanager
def running(folder: Path, *, webgl: bool = True) -> Iterator[Browser]:
    """A browser that ends with the block.

    Args:
        folder: For what it keeps.
        webgl: Whether it can draw; on the processor, as machines without a screen have no other.
    """
    program = found()
    assert program is not None
    drawing = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    drawing = drawing if webgl else ["--disable-gpu", "--disable-3d-apis"]
    to_read, their_write = os.pipe()
    their_read, to_write = os.pipe()
    # The program reads from 3 and writes to 4, whatever these are called here.
    command = (
        f'exec 3<&{their_read} 4>&{their_write}; exec "$@"'
        if (their_read, their_write) != (3, 4)
        else 'exec "$@"'
    )
    words = [
        program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
        "--disable-component-update", "--disable-sync", "--no-default-browser-check",
        "--ignore-gpu-blocklist", f"--user-data-dir={folder / 'profile'}", *drawing,
    ]  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", command, "bash", *words],
        pass_fds=(their_read, their_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(their_read)
    os.close(their_write)
    browser = Browser(to_read, to_write)
    try:
        yield browser
    finally:
        browser._session = None
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            browser.say("Browser.close")
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_read)
        os.close(to_write)
