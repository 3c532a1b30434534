"""What a job needs, and a cluster that is simulated: laws, and figures by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchmarks.scale.simulate import Inputs, simulate
from wmhseg.batch.needs import MARGIN, START_S, Needs, needs


def test_what_was_measured_is_within_the_limits() -> None:
    """benchmarks/RESULTS.md: 48 slices, `unet-synthetic`, 2 threads of the slower processor."""
    expected = needs(48, 3, 2)
    assert 23.96 < expected.seconds < 4 * 23.96
    assert 0.72 < expected.gigabytes < 2 * 0.72
    # docs/speed.md: the default model, which takes as long as five of them at most.
    assert 41.9 < needs(48, 5, 2).seconds < 3 * 41.9


@given(some.integers(1, 300), some.integers(1, 10), some.integers(1, 64))
def test_more_takes_more(slices: int, members: int, threads: int) -> None:
    one = needs(slices, members, threads)
    assert needs(slices + 1, members, threads).seconds > one.seconds
    assert needs(slices + 1, members, threads).gigabytes > one.gigabytes
    assert needs(slices, members + 1, threads).seconds > one.seconds
    assert needs(slices, members + 1, threads).gigabytes >= one.gigabytes
    assert needs(slices, members, threads + 1).seconds < one.seconds


def test_limits_of_a_task() -> None:
    seconds, gigabytes = Needs(40.0, 0.8).limits(100)
    assert seconds == MARGIN * (START_S + 4000)
    assert gigabytes == pytest.approx(MARGIN * 0.8)
    seconds, gigabytes = Needs(40.0, 0.8).limits(101, jobs=4)  # 26 turns
    assert seconds == MARGIN * (START_S + 26 * 40)
    assert gigabytes == pytest.approx(MARGIN * 3.2)


QUIET = Inputs(subjects=60, shard=10, jobs=2, scan_s=10.0, spread=0.0, start_s=5.0, queue_s=20.0,
               requests=0, walk=0, failures_h=0.0, price=2.0)  # fmt: skip


def test_a_cluster_by_hand() -> None:
    """Six shards of two jobs, three after each other: 3 x (20 + 5 + 100) s."""
    found = simulate(QUIET)
    assert found.hours == pytest.approx(375 / 3600)
    assert found.job_hours == pytest.approx(6 * 105 / 3600)
    assert found.useful == pytest.approx(100 / 105)
    assert found.cost == pytest.approx(6 * 105 / 3600 * 2)
    assert (found.waiting, found.restarts) == (0, 0)


def test_a_file_system_that_answers_one_call_a_second() -> None:
    """Two jobs, 10 s of calls before each scan of 10 s: one computes while the other waits."""
    slow = simulate(Inputs(**{**vars(QUIET), "requests": 10, "requests_s": 1.0, "shard": 30}))
    assert slow.hours == pytest.approx((25 + 60 * 10 + 10) / 3600)


def test_failures_lose_nobody() -> None:
    often = simulate(Inputs(**{**vars(QUIET), "failures_h": 20.0}))
    assert often.restarts > 0
    assert often.hours > simulate(QUIET).hours
    assert often.useful * often.job_hours == pytest.approx(60 * 10 / 3600)  # each scan counts once
