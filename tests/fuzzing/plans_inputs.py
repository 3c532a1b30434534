"""Plans of training, and the values that ``--set`` changes in them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from wmhseg.networks import catalogue
from wmhseg.training import model_folder, plan_files, recipes, session
from wmhseg.training.plan import Run

from . import damage
from .targets import Files, Target

_KEYS = ("fitting", "average", "runs", "0", "*", "steps", "batch", "crop", "name", "options",
         "kernel", "synthesis", "recipe", "field", "augmentation", "zoom", "", "-1", "99", "format",
         "restart", "\u0663", "9" * 5000, "preprocessing", "ceiling", "seed")  # fmt: skip
_CONTENTS = ("1", "0.999", "null", "true", '"a"', "[1, 2]", "{}", "NaN", "1e999", "text", "",
             "[" * 100_000, "9" * 5000, "-1", "0", '{"kernel": 3}',
             "\ud800", '"\\ud800"', "[0.9, 1.1]")  # fmt: skip


def _corpus() -> list[Files]:
    plans = list(recipes.PLANS.values())
    started = replace(plans[0].runs[0], start_from="warm", options={"kernel": 3})
    plans.append(replace(plans[0], runs=(started, Run("1", steps=5, crop=32, warmup=2))))
    plans.append(replace(plans[0], channels=1, intensity_scale="keep", without_t1="error"))
    made = [json.dumps(asdict(plan)).encode() for plan in plans]
    settings = [
        b"",
        b"runs.*.batch=4",
        b"fitting.average=0.999\nruns.0.options.kernel=3",
        b"nothing",
    ]
    given = [{"plan.json": text, "settings": some} for text in made for some in settings]
    return [*given, *({"plan.json": text, "settings": b""} for text in damage.POINTERS)]


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    given = dict(rng.choice(corpus[: -len(damage.POINTERS)]))
    if rng.random() < 0.7:
        value = damage.damaged_value(rng, json.loads(given["plan.json"]))
        given["plan.json"] = bytes(damage.json_text(rng, value))
    else:
        texts = []
        for _ in range(rng.randint(1, 3)):
            path = ".".join(rng.choice(_KEYS) for _ in range(rng.randint(1, 4)))
            if rng.random() < 0.7:
                path = rng.choice(("runs.*.", "runs.0.", "fitting.", "preprocessing.", "")) + path
            texts.append(path + rng.choice(("=", "=", "=", "")) + rng.choice(_CONTENTS))
        given["settings"] = "\n".join(texts).encode("utf-8", "surrogatepass")
    return given


def _read(folder: Path, given: Files) -> None:
    text = given["plan.json"].decode("utf-8", "replace")
    settings = given["settings"].decode("utf-8", "surrogatepass").split("\n")
    plan = plan_files.with_settings(plan_files.from_json(text), [one for one in settings if one])
    assert plan_files.from_json(plan_files.to_json(plan)) == plan
    model_folder.preset_of(plan, [run for run in plan.runs if run.member])
    for run in plan.runs:
        for shape in catalogue.describe(
            run.network, model_folder.preset_of(plan, []).signature, run.options
        ).variables().values():  # fmt: skip
            assert all(type(side) is int and side > 0 for side in shape), f"no shape: {shape}"
    session.inputs_beside(folder / f"{plan.runs[0].name}.safetensors")


def make() -> Target:
    modules = ("wmhseg.training.plan", "wmhseg.training.plan_files", "wmhseg.records")
    return Target("plans", _corpus(), _damaged, _read, modules)
