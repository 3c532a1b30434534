"""Segments in threads and processes of every kind; run by a test, in a process of its own.

Prints a line a way: its name, and the numbers of lesions that were found or what was raised.
Every way must end by itself: one that does not within its seconds is printed as HANGS.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import joblib
import SimpleITK

import wmhseg
from wmhseg.engines import backends, openvino_core
from wmhseg.segmentation.loading import Loaded

SECONDS = 300.0  # for one way, on a machine that does much else
Call = Callable[[], int]


def count(segmenter: wmhseg.Segmenter, flair: str) -> int:
    """Lesions that a segmenter finds, made here or sent here."""
    return segmenter.segment(flair).report.lesions.count


def whole(model: str, options: wmhseg.Options, flair: str) -> int:
    """Lesions that ``wmhseg.segment`` finds."""
    return wmhseg.segment(flair, model=model, options=options).report.lesions.count


def pooled(calls: list[Call], pool: Executor) -> list[int]:
    """By ``concurrent.futures``."""
    try:
        futures = [pool.submit(call) for call in calls]
        return [future.result(SECONDS) for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def by_joblib(calls: list[Call], backend: str) -> list[int]:
    """By joblib, two at a time."""
    parallel = joblib.Parallel(n_jobs=2, backend=backend, timeout=SECONDS)
    found: list[int] = parallel(joblib.delayed(call)() for call in calls)
    return found


# As the DataLoader of torch does it --------------------------------------------------------------


class Scans:
    """A data set: a scan an index, segmented or only prepared where it is asked for."""

    def __init__(self, segmenter: wmhseg.Segmenter, flair: str, *, compute: bool) -> None:
        self.segmenter, self.flair, self.compute = segmenter, flair, compute

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> wmhseg.Segmentation | Loaded:
        loaded = self.segmenter.load(self.flair)
        return self.segmenter.compute(loaded) if self.compute else loaded


def _worker(scans: Scans, indices: Any, results: Any) -> None:
    while (index := indices.get()) is not None:
        try:
            results.put((index, scans[index]))
        except Exception as error:  # as the DataLoader: it is raised where the batch is wanted
            results.put((index, error))


def loader(scans: Scans, start: str) -> Iterator[Any]:
    """Items in order, from a daemon that takes indices from one queue and fills another."""
    context = multiprocessing.get_context(start)
    indices, results = context.Queue(), context.Queue()
    worker = context.Process(target=_worker, args=(scans, indices, results), daemon=True)
    worker.start()
    try:
        for index in range(len(scans)):
            indices.put(index)
        for _ in range(len(scans)):
            _, item = results.get(timeout=SECONDS)
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        worker.kill()
        worker.join()


def loaded_by(segmenter: wmhseg.Segmenter, flair: str, start: str) -> list[int]:
    """Segmented in the worker."""
    items = loader(Scans(segmenter, flair, compute=True), start)
    return [item.report.lesions.count for item in items]


def prepared_by(segmenter: wmhseg.Segmenter, flair: str, start: str) -> list[int]:
    """Prepared in the worker, computed here."""
    items = loader(Scans(segmenter, flair, compute=False), start)
    return [segmenter.compute(item).report.lesions.count for item in items]


# Forks at bad moments -----------------------------------------------------------------------------


@contextmanager
def elsewhere_in(module: Any, name: str, work: Callable[[], object]) -> Iterator[None]:
    """While another thread works and has come to a function, which does not end before this."""
    real, inside, over = getattr(module, name), threading.Event(), threading.Event()

    def slow(*args: Any, **more: Any) -> Any:
        if threading.current_thread() is thread:
            inside.set()
            over.wait(SECONDS)
        return real(*args, **more)

    thread = threading.Thread(target=work)
    setattr(module, name, slow)
    thread.start()
    try:
        assert inside.wait(SECONDS)
        yield
    finally:
        over.set()
        thread.join()
        setattr(module, name, real)


def forked(calls: list[Call]) -> list[int]:
    """By a pool of one forked process."""
    return pooled(calls, ProcessPoolExecutor(1, multiprocessing.get_context("fork")))


def forked_while_reading(segmenter: wmhseg.Segmenter, calls: list[Call], flair: str) -> list[int]:
    """A thread holds what only one reader may have at a time."""
    with elsewhere_in(SimpleITK, "ReadImage", lambda: segmenter.load(flair)):
        return forked(calls)


def forked_while_starting(segmenter: wmhseg.Segmenter, calls: list[Call]) -> list[int]:
    """A thread is loading the engine's library."""
    own = segmenter.options.engine == "openvino"
    place = (openvino_core, "start_openvino") if own else (backends, "start_keras")
    with elsewhere_in(*place, segmenter.start):
        return forked(calls)


# All ways -----------------------------------------------------------------------------------------


def ways(
    segmenter: wmhseg.Segmenter, calls: list[Call], flair: str
) -> dict[str, Callable[[], list[int]]]:
    """Every way to share work, by name."""

    def processes(start: str) -> list[int]:
        return pooled(calls, ProcessPoolExecutor(1, multiprocessing.get_context(start)))

    return {
        "fork": lambda: forked(calls),
        "fork while reading": lambda: forked_while_reading(segmenter, calls, flair),
        "fork while starting": lambda: forked_while_starting(segmenter, calls),
        "spawn": lambda: processes("spawn"),
        "forkserver": lambda: processes("forkserver"),
        "threads": lambda: pooled(calls * 2, ThreadPoolExecutor(3)),
        "joblib threading": lambda: by_joblib(calls * 2, "threading"),
        "joblib loky": lambda: by_joblib(calls[:1], "loky"),
        "joblib multiprocessing": lambda: by_joblib(calls, "multiprocessing"),
        "loader spawn": lambda: loaded_by(segmenter, flair, "spawn"),
        "loader fork": lambda: loaded_by(segmenter, flair, "fork"),
        "loader fork, computed here": lambda: prepared_by(segmenter, flair, "fork"),
    }


def main(engine: str, model: str, flair: str, *wanted: str) -> None:
    """Goes each way that is wanted, in order."""
    options = wmhseg.Options(engine=engine, device="cpu", threads=1)  # type: ignore[arg-type]
    segmenter = wmhseg.Segmenter(model, options)
    calls: list[Call] = [
        functools.partial(count, segmenter, flair),
        functools.partial(whole, model, options, flair),
    ]
    known = ways(segmenter, calls, flair)
    for name in wanted:
        try:
            said = " ".join(map(str, known[name]()))
        except wmhseg.WmhsegError as error:
            said = f"{type(error).__name__} {error}"
        except Exception as error:  # such as a timeout, of any of four classes
            said = f"HANGS or breaks: {type(error).__name__} {error}"
        print(f"{name}: {said}", flush=True)
    os._exit(0)  # a process that hangs would be waited for
