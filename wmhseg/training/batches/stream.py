"""Batches in a fixed order, drawn by other processes while the loop takes its steps.

A source makes a block of batches from nothing but itself and the block's number. Batch s is
therefore the same whether a training runs through or is resumed, and however many processes draw.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wmhseg.errors import TrainingFailedError, WmhsegError

Float = npt.NDArray[np.float32]
TrainingBatch = tuple[Float | dict[str, Float], Float]
"""Inputs (slice, row, column, channel) and targets (slice, row, column, 1), or with the channels of
``counted``, float32; of several ports by their names."""

# Batches that are drawn ahead and wait for the loop, over all processes.
_AHEAD = 16
# How long a process waits for the other side before it looks whether that still runs.
_PATIENCE_S = 5.0


class BatchSource(Protocol):
    """Where batches come from; it is sent to the processes that draw."""

    @property
    def per_block(self) -> int:
        """Batches in a block."""

    def open(self) -> Callable[[int], Iterator[TrainingBatch]]:
        """Loads what is needed and returns the function from a block's number to its batches."""


def crop(rng: np.random.Generator, image: Any, target: Any, side: int | None) -> tuple[Any, Any]:
    """Cuts a random square of ``side`` pixels out of a slice, or one of each port, and its target.

    Args:
        rng: Source of randomness.
        image: (row, column, channel), or such by port.
        target: (row, column), or with channels.
        side: Of the square; None for all.
    """
    if side is None:
        return image, target
    row, column = (int(rng.integers(0, size - side + 1)) for size in target.shape[:2])
    part = np.s_[row : row + side, column : column + side]
    if isinstance(image, dict):
        return {port: plane[part] for port, plane in image.items()}, target[part]
    return image[part], target[part]


def as_batch(slices: list[tuple[Any, Any]]) -> TrainingBatch:
    """Makes a batch of slices and targets (row, column), or (row, column, channel).

    Args:
        slices: Inputs (row, column, channel), or such by port, and targets.
    """
    targets = np.stack([target for _, target in slices]).astype(np.float32)
    targets = targets[..., None] if targets.ndim == 3 else targets
    first, _ = slices[0]
    if not isinstance(first, dict):
        return _stacked([image for image, _ in slices]), targets
    inputs = {port: _stacked([images[port] for images, _ in slices]) for port in first}
    return inputs if len(inputs) > 1 else next(iter(inputs.values())), targets


def _stacked(images: list[Any]) -> Float:
    return np.stack(images).astype(np.float32, copy=False)


def produced(
    source: BatchSource, first: int, processes: int
) -> Generator[TrainingBatch, None, None]:
    """Yields batch number ``first`` and all that follow, for ever.

    Args:
        source: What to draw.
        first: Number of the first batch.
        processes: How many draw. Of three, the first draws blocks 0, 3, 6 and so on, the second
            1, 4, 7 and so on.

    Raises:
        WmhsegError: That of a process that draws, such as for an unreadable label map.
        TrainingFailedError: If such a process ended, or raised another error.
    """
    context = multiprocessing.get_context("spawn")
    block, skipped = divmod(first, source.per_block)
    queues: list[Any] = [context.Queue(max(2, _AHEAD // processes)) for _ in range(processes)]
    workers = [
        context.Process(
            target=_produce,
            args=(waiting, source, range(block + place, 2**62, processes)),
            daemon=True,
        )
        for place, waiting in enumerate(queues)
    ]
    try:
        # One thread for small matrices: waiting BLAS threads would take the time of the fit.
        with _environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1"):
            for worker in workers:
                worker.start()
        while True:
            for worker, waiting in zip(workers, queues, strict=True):
                for number in range(source.per_block):
                    batch = _next(waiting, worker)
                    if skipped <= number:
                        yield batch
                skipped = 0
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.kill()  # it holds nothing that would have to be put in order
                worker.join()
        for waiting in queues:
            waiting.close()
            waiting.cancel_join_thread()


def _next(waiting: Any, worker: Any) -> TrainingBatch:
    while True:
        try:
            item = waiting.get(timeout=_PATIENCE_S)
        except queue.Empty:
            if worker.is_alive():
                continue
            raise TrainingFailedError(
                "The process that draws batches was expected to go on",
                received=f"its end (exit code {worker.exitcode})",
                advice="It may have run out of memory: use fewer --producers.",
            ) from None
        if isinstance(item, BaseException):
            raise item
        batch: TrainingBatch = item
        return batch


def _produce(waiting: Any, source: BatchSource, blocks: range) -> None:
    """Draws block after block until it is killed or its parent is gone."""
    # Ctrl-C reaches every process of a terminal; the parent settles what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        draw = source.open()
        for block in blocks:
            for batch in draw(block):
                _put(waiting, batch)
    except WmhsegError as error:
        _put(waiting, error)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        _put(waiting, TrainingFailedError("Drawing a batch was expected to work", received=text))


def _put(waiting: Any, item: object) -> None:
    parent = multiprocessing.parent_process()
    while True:
        with suppress(queue.Full):
            waiting.put(item, timeout=_PATIENCE_S)
            return
        if parent is not None and not parent.is_alive():
            os._exit(1)  # the parent was killed; nobody will read the queue


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Sets environment variables for a while: a spawned process inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
