"""Model folders: a preset, and the weights that it names."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmhseg.networks import catalogue, variables
from wmhseg.weights import preset as presets
from wmhseg.weights import store
from wmhseg.weights.inputs import WMH_ALONE, Input, Labels, inputs_of_channels
from wmhseg.weights.methods import METHODS

from . import damage, tensors_inputs
from .targets import Files, Target


def _value(method: str, inputs: tuple[Input, ...], labels: Labels, *members: Any) -> Any:
    made = presets.Preset(
        2, "some-model", "A model.", "Apache-2.0", "nothing", "none", inputs, labels,
        METHODS[method].preprocessing, METHODS[method].postprocessing, members,
    )  # fmt: skip
    return json.loads(json.dumps(asdict(made)))


def _corpus() -> list[Files]:
    weights = tensors_inputs.packed({}, b"")
    sha256 = hashlib.sha256(weights).hexdigest()
    unet = presets.Member("0.safetensors", sha256, "unet", {"kernel": 3, "batch_norm": True}, 9)
    stack = presets.Member("1.safetensors", "0" * 64, "stacknet", {"depth": 2, "kernel": 5}, 9)
    both = (*inputs_of_channels(1, "error"), Input("T1", "T1", "z-score", "error", "t1"))
    many = Labels(("WMH", "other"), "softmax")
    values = [
        *(_value(method, inputs_of_channels(2, "zero"), WMH_ALONE, unet) for method in METHODS),
        _value("published", inputs_of_channels(1, "error"), many, unet, stack),
        _value("released", both, WMH_ALONE, stack),
    ]
    old = json.loads(json.dumps(values[0])) | {"format": 1, "channels": 2, "without_t1": "zero"}
    del old["inputs"], old["labels"]
    values += [old, [], None, {}]
    made = [json.dumps(value).encode() for value in values]
    made += [b"", b"{", b"[" * 100_000, b"\xff\xfe{", b" " * 1_000_001, *damage.POINTERS]
    return [{"preset.json": text, "0.safetensors": weights} for text in made]


_OPTIONS = ("kernel", "depth", "batch_norm", "stacked_stages", "x", "signature")


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    given = dict(rng.choice(corpus[: -5 - len(damage.POINTERS)]))
    value = damage.damaged_value(rng, json.loads(given["preset.json"]))
    if rng.random() < 0.1 and isinstance(value, dict) and isinstance(value.get("members"), list):
        options = {rng.choice(_OPTIONS): damage.any_value(rng, 3) for _ in range(2)}
        for member in value["members"]:
            if isinstance(member, dict):
                member["options"] = options
    given["preset.json"] = bytes(damage.json_text(rng, value))
    if rng.random() < 0.2:
        given["0.safetensors"] = bytes(damage.several(rng, given["0.safetensors"], damage.ANY))
    return given


def _read(folder: Path, given: Files) -> None:
    model = store.read_model(folder)
    preset = model.preset
    assert presets.from_json(presets.to_json(preset)) == preset
    presets.with_postprocessing(preset, threshold=0.4, min_lesion_mm3=2, lesion_peak=0.5)
    assert preset.takes_t1 or preset.works_without_t1
    assert preset.labels.names[preset.labels.wmh] == "WMH"
    for member in preset.members:
        described = catalogue.describe(member.network, preset.signature, member.options)
        shapes = described.variables()
        whole = all(type(side) is int and side > 0 for shape in shapes.values() for side in shape)
        assert whole, f"shapes that no array has: {list(shapes.values())[:2]}"
        assert type(described.parameter_count()) is int
        assert described.parameter_count() < 1 << 40
    for member in preset.members:
        variables.check({}, store.load(model, member), name=member.file)


def make() -> Target:
    modules = ("wmhseg.weights.preset", "wmhseg.weights.inputs", "wmhseg.weights.store",
               "wmhseg.records", "wmhseg.networks.catalogue", "wmhseg.networks.blocks")  # fmt: skip
    return Target("presets", _corpus(), _damaged, _read, modules)
