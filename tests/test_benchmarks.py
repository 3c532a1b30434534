"""Benchmarks for GPUs, checked without one; how the others judge."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_scan

from benchmarks import code, end_to_end, equality, gpu, house, machine, results
from benchmarks.throughput import __main__ as throughput
from benchmarks.throughput import constant
from wmhseg import processors
from wmhseg.networks import graph
from wmhseg.networks.graph import Layer

ROOT = Path(__file__).resolve().parents[1]


def test_operations_of_the_chain_that_sets_the_peak() -> None:
    # 8 x 8 pixels, 9 taps: 2 -> 4 maps, 4 -> 4, 4 -> 1 with a single tap.
    assert gpu.chain(2, 8, 4).multiplications() == 64 * (9 * 2 * 4 + 9 * 4 * 4 + 4)


def test_the_gpu_benchmark_is_skipped_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "has_gpu", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    gpu.main()
    assert capsys.readouterr().out == "No GPU: skipped.\n"


def test_the_gpu_benchmark_runs_on_the_cpu_and_a_precision_that_fails_costs_its_own_rows_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each precision is a program of its own, started as users start it; TensorFlow takes long."""
    monkeypatch.setattr(gpu, "WITH", {**gpu.WITH, "cpu": ("tf32", "f32")})
    words = ["--device", "cpu", "--batches", "1", "2", "--slices", "2", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["gpu", *words])
    gpu.main()
    told, empty, _, _, *rows, between, failed = capfd.readouterr().out.splitlines()
    assert failed.startswith("tf32: failed with status ")
    assert processors.processor_name() in told
    assert not empty
    assert not between
    assert [row.split("|")[1:3] for row in rows] == [[" f32 ", " 1 "], [" f32 ", " 2 "]]
    for row in rows:
        *_, reached, peak, share, memory, _ = row.split("|")
        found, most = float(reached), float(peak)
        # All three are rounded to whole numbers.
        room = 0.6 + 60 * (1 + found / most) / most
        assert float(share.strip("% ")) == pytest.approx(100 * found / most, abs=room)
        assert float(reached) > 0
        assert not memory.strip()
    monkeypatch.setattr(gpu, "WITH", {"cpu": ()})
    assert gpu.table("cpu") == []  # nothing is told of failures where there are none


@pytest.mark.parametrize("model", ["uresnet-synthetic", "anatomy-synthetic"])
def test_a_model_is_timed_by_what_it_does(model: str, phantom: Phantom, tmp_path: Path) -> None:
    """One that names structures segments nothing."""
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)
    t1 = write_scan(tmp_path / "t.nii.gz", phantom.t1, phantom.spacing_mm)
    run = end_to_end.one_run(model, flair, t1, tmp_path)
    assert 0 < run.stages["predict"] < run.seconds
    assert 0.05 < run.peak_gb < 4
    assert f"| `{model}` |" in end_to_end.table({model: [run]})
    assert (tmp_path / "result.nii.gz").exists() == (model == "uresnet-synthetic")


@pytest.mark.parametrize(
    ("found", "expected", "judged"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], (1, 0)),
        ([1, 0, 0, 0], [1, 1, 1, 0], (0.5, -2 / 3)),
        ([0, 0, 0, 0], [0, 0, 0, 0], (1, 0)),
        ([1, 0, 0, 0], [0, 0, 0, 0], (0, np.inf)),
        ([0, 0, 0, 0], [1, 0, 0, 0], (0, -1)),
    ],
)
def test_masks_are_compared(
    found: list[int], expected: list[int], judged: tuple[float, float]
) -> None:
    masks = (np.array(mask, bool) for mask in (found, expected))
    assert equality.compare(*masks) == pytest.approx(judged)


def test_equality_of_no_case_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["equality", "--data", str(tmp_path), "--precision", "f32"])
    with pytest.raises(SystemExit, match="Received: none"):
        equality.main()


def test_a_bfloat16_that_is_not_there_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "has_bfloat16", lambda: False)
    monkeypatch.setattr(sys, "argv", ["equality", "--data", str(tmp_path), "--precision", "bf16"])
    with pytest.raises(SystemExit, match="Received: none"):
        equality.main()
    assert "No bfloat16 on this processor: left out." in capsys.readouterr().out


def test_the_newest_run_of_each_kind_of_processor_stays() -> None:
    head = ("# Speed", "", "How.")
    one = results.with_section("", head, "2 cores of A (no AVX-512)", ["old", "", "| t |"])
    assert one == "# Speed\n\nHow.\n\n## 2 cores of A (no AVX-512)\n\nold\n\n| t |\n"
    two = results.with_section(one, head, "2 cores of B (AVX-512)", ["other"])
    again = results.with_section(two, head, "2 cores of A (no AVX-512)", ["new"])
    assert again == (
        "# Speed\n\nHow.\n\n## 2 cores of A (no AVX-512)\n\nnew\n\n"
        "## 2 cores of B (AVX-512)\n\nother\n"
    )
    assert results.slug("2 cores of A (no AVX-512)") == "2-cores-of-a-no-avx-512"


MODULE = '''"""About the module.

>>> 1 + 1
2
"""

import os  # a comment on a line of code


# A comment of its own.
def wide(a: int, b: int, c: int, d: int, e: int, f: int, g: int) -> int:
    """Seven arguments."""
    return a


class Thing:
    def method(self, x):
        x = 1
        return x
'''


def test_code_is_measured(tmp_path: Path) -> None:
    package, tests = tmp_path / "thing", tmp_path / "tests"
    (package / "part").mkdir(parents=True)
    tests.mkdir()
    (package / "__init__.py").write_text('"""Root."""\n')
    (package / "part" / "__init__.py").write_text("")
    (package / "part" / "one.py").write_text(MODULE)
    (package / "part" / "two.py").write_text("X = 1\n")
    (package / "tests").mkdir()
    (package / "tests" / "test_inside.py").write_text("Y = 2\nZ = 3\n")
    (tests / "test_one.py").write_text("def test() -> None:\n    assert True\n")
    found = code.measure(package, tests)
    assert sorted(found.module_lines) == [0, 1, 1, 19]
    assert found.folder_modules == [2]
    assert sorted(found.function_lines) == [3, 3]
    assert (found.long, found.wide) == (0, 1)
    assert found.annotated == 0.5  # the method has no types
    # Root: 1; the module: 3 lines with text; the function: 1.
    assert (found.docstring_lines, found.doctest_lines) == (5, 1)
    # The import, three lines of the function less its docstring, four of the class, and X.
    assert found.code_lines == 1 + 2 + 4 + 1
    assert found.test_lines == 4
    rows = code.table({"thing": found})
    assert rows[2] == "| modules / lines | 4 / 0k |"
    assert rows[-1] == "| test lines / code lines | 0.50 |"


def test_circles_and_arrows_are_read_from_the_code(tmp_path: Path) -> None:
    package = tmp_path / "thing"
    (package / "low").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "low" / "__init__.py").write_text("")
    (package / "low" / "a.py").write_text("def f():\n    from thing.low.b import name\n")
    (package / "low" / "b.py").write_text("import thing.low.a\n")
    (package / "high.py").write_text("from thing.low import a\nimport os\n")
    arrows = house.house(tmp_path, "thing")
    assert arrows == {
        "": set(), "low": set(), "low.a": {"low.b"}, "low.b": {"low.a"}, "high": {"low.a"},
    }  # fmt: skip
    assert house.circles(arrows) == [["low.a", "low.b"]]
    assert house.wings(arrows) == {"": set(), "low": set(), "high": {"low"}}
    assert house.circles(house.wings(arrows)) == []


def looking(*operations: graph.Operation, side: int = 96) -> graph.Graph:
    """A network of one layer after the other."""
    layer = Layer(graph.InputLayer((side, side, 1)), (), "scan")
    for number, operation in enumerate(operations):
        layer = Layer(operation, (layer,), f"{number}")
    return graph.Graph("looking", layer)


def test_how_far_a_network_looks_by_hand() -> None:
    """Kernels of 3 reach 1 pixel of their own size; after pooling a pixel is 2 wide."""
    three = graph.Convolution(2, 3)
    assert constant.seen(looking(three)) == 1
    assert constant.seen(looking(three, three, graph.Convolution(1, 5, dilation=3))) == 1 + 1 + 6
    deep = looking(three, graph.MaxPool(), three, graph.Doubling(), three)
    assert constant.seen(deep) == 1 + 1 + 2 + 1 + 1


def test_nothing_farther_away_than_that_changes_a_pixel() -> None:
    pytest.importorskip("openvino", reason="the optional extra openvino is not installed")
    from wmhseg.engines import openvino_core, openvino_engine
    from wmhseg.engines.openvino_graph import to_openvino

    three = graph.Convolution(3, 3)
    grow = graph.GrowingConvolution(2, 2)
    deep = (three, graph.MaxPool(), three, graph.MaxPool(), three, graph.Doubling(), grow, three)
    described = looking(*deep)
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in described.variables().items()
    }
    how = openvino_engine.settings(openvino_core.start_openvino(1))
    model = openvino_core.openvino_core().compile_model(
        to_openvino(described, tensors, 1), "CPU", how
    )
    scan = rng.normal(size=(1, 1, 96, 96)).astype(np.float32)
    before = np.array(model([scan])[0])
    scan[0, 0, 48, 48] += 100
    changed = np.argwhere((np.array(model([scan])[0]) != before).any((0, 1)))
    far = constant.seen(described)
    assert 0.5 * far < np.abs(changed - 48).max() <= far


def test_what_background_could_spare_by_hand() -> None:
    """A field of 20 x 20 with one bright pixel, seen from 2 pixels away."""
    stack = np.zeros((2, 20, 20, 1), np.float32)
    stack[0, 9, 9] = 1
    # 5 rows near the pixel, and 2 at each border, where zeros come in: 9, and as many columns.
    # The slice of background alone is computed once for all today.
    assert constant.spared(stack, 2) == pytest.approx((400 - 9 * 9) / 800)
    assert constant.spared(stack, 10) == 0


def test_ways_of_computing_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="the optional extra openvino is not installed")
    every = throughput.members
    # One member will do, and no further processes.
    monkeypatch.setattr(throughput, "members", lambda batch=1: every(batch)[:1])
    monkeypatch.setattr(throughput, "elsewhere", lambda slices, extra: 1.0)
    shares, apart = throughput.measured(rounds=1, slices=2)
    assert set(shares) == {*apart, throughput.HUGE_PAGES}
    assert len(apart) == 4
    assert all(share[0] > 0 for share in shares.values())
    assert apart[throughput.SHIPPED] == 0
    assert max(apart.values()) < 1e-5
