"""Fetches a file whose size is known over https, going on where an earlier try has ended.

The one module of the package that uses the network, and only when ``wmhseg models get`` calls it.
Addresses are https and lead to https; proxies are those of the usual environment variables, and
certificates are checked against the system's, or those that ``SSL_CERT_FILE`` names.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from wmhseg.errors import DownloadError, UsageError
from wmhseg.fetching.partial import Partial
from wmhseg.io.progress import Progress
from wmhseg.version import __version__

_CHUNK = 2**18
_MOST_REDIRECTS = 5
_OK, _PART, _NO_SUCH_RANGE = 200, 206, 416
_MOVED = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_GO_ON = "Run the command again: it goes on where it stopped."
_ELSEWHERE = "Check the address (--from), or get the file by other means and name it: --from FILE."


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        timeout_s: For a connection, and for each further piece.
        tries: Connections in all.
        pause_s: Before the second; each further one waits twice as long.
        window_s: In this time a connection must bring
        window_bytes: at least this much.
    """

    timeout_s: float = 30.0
    tries: int = 5
    pause_s: float = 1.0
    window_s: float = 60.0
    window_bytes: int = 2**16


USUAL = Patience()


class _PassingError(Exception):
    """What may go better at the next try; its text says what was received."""


def check_address(url: str) -> None:
    """Makes sure that an address is one that may be asked.

    Raises:
        UsageError: If it is not https, or holds a password.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(
            "An address that begins with https:// was expected",
            received=url,
            advice="Files on this computer are named by their path: --from FILE.",
        )
    if "@" in parts.netloc:
        raise UsageError(
            "An address without a name and password was expected",
            received=f"one for {parts.hostname} with them",
            advice="Get the file by other means and name it: --from FILE.",
        )


def fetch(
    url: str, partial: Partial, size: int, *, progress: Progress, patience: Patience = USUAL
) -> None:
    """Fetches what a file lacks.

    Args:
        url: Its address.
        partial: What is there of it; complete afterwards, but not checked.
        size: Bytes that the whole file has.
        progress: Told of the bytes that are there, and of all.
        patience: How long the server is waited for.

    Raises:
        UsageError: If the address is none that may be asked.
        DownloadError: If the server has not got the file, or does not answer.
        DiskFullError: If the disk has no room.
        OutputNotWritableError: If the disk fails otherwise.
    """
    check_address(url)
    wanted, reason = _Wanted(url, partial, size), ""
    for attempt in range(patience.tries):
        if attempt:
            time.sleep(patience.pause_s * 2 ** (attempt - 1))
        if partial.size > size:
            partial.begin("")
        if partial.size == size:
            return
        try:
            _try(wanted, progress, patience)
            return
        except _PassingError as error:
            reason = str(error)
    got = f", after {partial.size} of {size} bytes" if partial.size else ""
    raise DownloadError(
        f"{url} was expected to give the whole file",
        received=f"{reason}{got} ({patience.tries} tries)",
        advice=_GO_ON if partial.size else _ELSEWHERE,
    )


@dataclass(frozen=True)
class _Wanted:
    """A file on its way, where it comes from and how large it is in the end."""

    url: str
    partial: Partial
    size: int

    def other(self, received: str) -> DownloadError:
        """The server has another file there."""
        return DownloadError(
            f"A file of {self.size} bytes was expected at {self.url}",
            received=received,
            advice="It is not the file of this version of wmhseg. " + _ELSEWHERE,
        )


def _try(wanted: _Wanted, progress: Progress, patience: Patience) -> None:
    """Asks once, and adds what comes to the file.

    Raises:
        _PassingError: If another try may go better.
    """
    partial = wanted.partial
    headers = {"User-Agent": f"wmhseg/{__version__}", "Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.tag:
            headers["If-Range"] = partial.tag
    try:
        with _asked(wanted.url, headers, patience.timeout_s) as answer:
            _check_answer(answer, wanted)
            _read(answer, wanted, progress, patience)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error, wanted) from error
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"A certificate that this computer trusts was expected from {wanted.url}",
                received=reason.verify_message,
                advice="Where a proxy has one of its own, let SSL_CERT_FILE name a file with it.",
            ) from error
        raise _PassingError(str(reason) or type(reason).__name__) from error


def _asked(url: str, headers: dict[str, str], timeout_s: float) -> Any:
    """The answer of the server that an address leads to, over a few redirects at most."""
    first, opener = url, _opener()
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
        except urllib.error.HTTPError as error:
            if error.code not in _MOVED:
                raise
            target = error.headers.get("Location", "")
            error.close()
        try:
            url = urllib.parse.urljoin(url, target)
            check_address(url)
        except (UsageError, ValueError):
            raise DownloadError(
                f"{first} was expected to lead to an address that begins with https://",
                received=f'"{target}"',
                advice=_ELSEWHERE,
            ) from None
    raise DownloadError(
        f"{first} was expected to lead to a file over {_MOST_REDIRECTS} redirects at most",
        received="more",
        advice=_ELSEWHERE,
    )


def _opener() -> urllib.request.OpenerDirector:
    """What asks servers: https alone, by proxies; no files, no FTP, no redirects, no cookies."""
    made = urllib.request.OpenerDirector()
    made.addheaders = []
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        made.add_handler(handler)
    return made


def _refused(error: urllib.error.HTTPError, wanted: _Wanted) -> Exception:
    told = f"{error.code} {error.reason}"
    if error.code == _NO_SUCH_RANGE and wanted.partial.size:
        wanted.partial.begin("")  # what is here is none of what the server has
        return _PassingError(told)
    if error.code in _PASSING:
        return _PassingError(told)
    return DownloadError(f"{wanted.url} was expected to be there", received=told, advice=_ELSEWHERE)


def _check_answer(answer: Any, wanted: _Wanted) -> None:
    """Whether it is the file, whole or from where it is needed; begins anew where it is whole.

    Raises:
        DownloadError: If the server's file is another.
        _PassingError: If it is another part than was asked for.
    """
    headers, partial = answer.headers, wanted.partial
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise wanted.other(f"one encoded as {encoding}")
    whole = ""
    if answer.status == _PART:
        said = headers.get("Content-Range", "").strip()
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", said, re.ASCII)
        if found is None or int(found[1]) != partial.size:
            partial.begin("")
            raise _PassingError("another part than was asked for")
        whole = found[2]
    elif answer.status == _OK:
        tag = headers.get("ETag", "")
        partial.begin("" if tag.startswith("W/") else tag)
        whole = headers.get("Content-Length", "")
    else:
        raise wanted.other(f"{answer.status} {answer.reason}")
    if whole.isdecimal() and int(whole) != wanted.size:
        raise wanted.other(f"{whole} bytes")


def _read(answer: Any, wanted: _Wanted, progress: Progress, patience: Patience) -> None:
    """Adds what comes to the file, until it ends or the server dozes."""
    partial, size = wanted.partial, wanted.size
    since, held = time.monotonic(), partial.size
    progress(partial.size, size)
    while content := answer.read1(_CHUNK):
        if partial.size + len(content) > size:
            partial.begin("")
            raise wanted.other("more")
        partial.append(content)
        progress(partial.size, size)
        if time.monotonic() - since > patience.window_s and partial.size < size:
            if partial.size - held < patience.window_bytes:
                raise _PassingError(f"hardly anything in {patience.window_s:g} s")
            since, held = time.monotonic(), partial.size
    if partial.size < size:
        raise _PassingError("an end too early")
