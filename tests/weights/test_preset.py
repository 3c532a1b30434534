"""Presets: the published numbers, and JSON that is read strictly."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from conftest import make_preset, of_scan
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg.errors import PresetError, UsageError
from wmhseg.geometry import Grid, turn_to
from wmhseg.networks.signature import Signature
from wmhseg.weights import methods, preset
from wmhseg.weights.inputs import Input, Labels, inputs_of_channels
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import Member, Preset
from wmhseg.weights.processing import Postprocessing, Preprocessing, Reader


def tree(**changes: Any) -> dict[str, Any]:
    """A valid preset as JSON values."""
    value: dict[str, Any] = json.loads(preset.to_json(make_preset(**changes)))
    return value


def refused(value: Any) -> str:
    """The message with which a preset is refused."""
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(PresetError) as caught:
        preset.from_json(text)
    message = str(caught.value)
    assert message.startswith("preset.json: ")
    assert "Received: " in message
    assert message.isprintable()
    assert len(message) < 1000
    return message


# The published numbers --------------------------------------------------------------------------


def test_numbers_of_the_published_method() -> None:
    pre, post = METHODS["published"].preprocessing, METHODS["published"].postprocessing
    assert pre.field == (200, 200)
    assert pre.orientation == "stored"
    assert pre.order == "crop-normalise"
    assert pre.mask == "each"
    assert (pre.flair_threshold, pre.t1_threshold) == (70, 30)
    assert pre.largest_component
    assert pre.padding == "background"
    assert pre.clip is None
    assert (post.threshold, post.end_slices, post.min_lesion_mm3) == (0.5, 0.10, 0)
    assert post.lesion_peak == 0


def test_stack_net_differs_in_its_threshold() -> None:
    stack, unet = METHODS["published-stack"], METHODS["published"]
    assert stack.preprocessing == unet.preprocessing
    assert stack.postprocessing == Postprocessing(threshold=0.4, end_slices=0.10)


def test_numbers_of_the_release() -> None:
    pre, post = METHODS["released"].preprocessing, METHODS["released"].postprocessing
    assert pre.field == (200, 200)
    assert pre.orientation == "stored"
    assert pre.order == "normalise-crop"
    assert pre.mask == "flair"
    assert pre.flair_threshold == 30
    assert not pre.largest_component
    assert pre.padding == "zero"
    assert pre.clip is None
    assert (post.threshold, post.end_slices) == (0.45, 0.125)


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_valid_and_found_by_their_numbers(name: str) -> None:
    method = METHODS[name]
    made = make_preset(preprocessing=method.preprocessing, postprocessing=method.postprocessing)
    preset.validate(made)
    assert methods.method_name(made) == name
    assert methods.method_name(preset.with_postprocessing(made, threshold=0.123)) == "custom"


# Round trip -------------------------------------------------------------------------------------

# What a text may hold: what is printed on one line.
PRINTED = st.characters(exclude_categories=("C", "Z")) | st.just(" ")
TEXTS = st.text(PRINTED, max_size=20)
POSITIVE = st.floats(0, 1e30, exclude_min=True) | st.integers(1, 10**6).map(float)
OPTIONS = st.dictionaries(
    TEXTS,
    st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    max_size=3,
)
PREPROCESSING = st.builds(
    Preprocessing,
    field=st.tuples(st.integers(16, 1024), st.integers(16, 1024)),
    orientation=st.sampled_from(["stored", "LPS", "RAS", "asl"]),
    order=st.sampled_from(["crop-normalise", "normalise-crop"]),
    mask=st.sampled_from(["each", "flair"]),
    flair_threshold=POSITIVE,
    t1_threshold=POSITIVE,
    largest_component=st.booleans(),
    padding=st.sampled_from(["background", "zero"]),
    ceiling=st.none() | st.floats(1, 100, exclude_min=True),
    clip=st.none() | st.tuples(POSITIVE.map(float.__neg__), POSITIVE),
)
POSTPROCESSING = st.builds(
    Postprocessing,
    threshold=st.floats(0, 1, exclude_max=True),
    end_slices=st.floats(0, 0.5, exclude_max=True),
    min_lesion_mm3=st.floats(0, 10_000),
    lesion_peak=st.floats(0, 1, exclude_max=True),
)
FILES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}\.safetensors", fullmatch=True)
MEMBERS = st.builds(
    Member,
    file=FILES,
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    network=st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True),
    options=OPTIONS,
    parameters=st.integers(1, 10**12),
)
WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
PORTS = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
FLAIR_INPUTS = st.builds(
    Input, WORDS, st.just("FLAIR"), st.just("z-score"), st.just("error"), port=PORTS
)
T1_INPUTS = st.builds(
    Input,
    WORDS,
    st.just("T1"),
    st.just("z-score"),
    st.sampled_from(["error", "zero"]),
    port=PORTS,
)
INPUTS = (
    st.lists(FLAIR_INPUTS | T1_INPUTS, min_size=1, max_size=4, unique_by=lambda one: one.name)
    .filter(lambda inputs: any(one.scan == "FLAIR" for one in inputs))
    .map(tuple)
)
LABELS = st.builds(
    Labels,
    names=st.lists(WORDS, max_size=3, unique=True)
    .map(lambda names: (*(name for name in names if name != "WMH"), "WMH"))
    .flatmap(lambda names: st.permutations(names).map(tuple)),
    activation=st.just("sigmoid"),
) | st.builds(
    Labels,
    names=st.permutations(("background", "WMH", "stroke")).map(tuple),
    activation=st.just("softmax"),
)
PRESETS = st.builds(
    Preset,
    format=st.just(2),
    name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True),
    description=TEXTS,
    licence=TEXTS,
    training_data=TEXTS,
    reference=TEXTS,
    inputs=INPUTS,
    labels=LABELS,
    preprocessing=PREPROCESSING,
    postprocessing=POSTPROCESSING,
    members=st.lists(MEMBERS, min_size=1, max_size=3, unique_by=lambda m: m.file).map(tuple),
    flips=st.booleans(),
)


@st.composite
def presets_with_readers(draw: st.DrawFn) -> Preset:
    """Of a threshold t, sparing readers have t to 1 and generous ones 0 to t."""
    made = draw(PRESETS)
    balanced = made.postprocessing.threshold
    bounds = {"sparing": (balanced, 1.0), "generous": (0.0, balanced)}
    readers = [
        Reader(
            name,  # type: ignore[arg-type]
            draw(st.floats(*bounds[name]).filter(lambda x: x < 1)),
            draw(st.floats(0, 10_000)),
            draw(st.floats(0, 1, exclude_max=True)),
        )
        for name in draw(st.permutations(["sparing", "generous"]))[draw(st.integers(0, 2)) :]
    ]
    return replace(made, readers=tuple(readers))


@given(presets_with_readers())
@settings(max_examples=40)
def test_round_trip(made: Preset) -> None:
    text = preset.to_json(made)
    back = preset.from_json(text)
    assert back == made
    assert preset.to_json(back) == text
    text.encode()  # can be written as UTF-8
    # Equal is not enough: True == 1 == 1.0.
    for one, other in zip(back.members, made.members, strict=True):
        assert [type(v) for v in one.options.values()] == [type(v) for v in other.options.values()]
    assert type(back.preprocessing.flair_threshold) is float


def test_whole_numbers_may_stand_for_floats() -> None:
    value = tree()
    value["preprocessing"]["flair_threshold"] = 70
    value["preprocessing"]["clip"] = [-6, 12]
    back = preset.from_json(json.dumps(value))
    assert back.preprocessing.clip == (-6.0, 12.0)
    assert type(back.preprocessing.flair_threshold) is float


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": Preprocessing(flair_threshold=float("nan"))},
        {"preprocessing": Preprocessing(flair_threshold=float("inf"))},
        {"preprocessing": Preprocessing(clip=(float("-inf"), 1.0))},
        {"preprocessing": Preprocessing(field=[200, 200])},
        {"members": (Member("0.safetensors", "0" * 64, "tiny", {"depth": float("nan")}, 3),)},
        {"members": (Member("0.safetensors", "0" * 64, "tiny", {"depth": float("inf")}, 3),)},
        {"members": (Member("0.safetensors", "0" * 64, "tiny", {"depth": None}, 3),)},
        {"inputs": list(inputs_of_channels(2, "zero"))},
        {"labels": Labels(("WMH", "WMH"), "sigmoid")},
        {"name": "../up"},
    ],
)
def test_only_what_can_be_read_is_written(changes: dict[str, Any]) -> None:
    with pytest.raises(PresetError):
        preset.to_json(make_preset(**changes))


# Strictness -------------------------------------------------------------------------------------

Path = tuple[Any, ...]


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Paths of all keys and list items of a JSON tree."""
    inner = list(value.items()) if isinstance(value, dict) else []
    inner += list(enumerate(value)) if isinstance(value, list) else []
    return [p for key, item in inner for p in [(*path, key), *paths(item, (*path, key))]]


def parent(value: Any, path: Path) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


FULL = tree(
    preprocessing=Preprocessing(field=(16, 24), ceiling=1.8, clip=(-6.0, 12.0), pixel_mm=1.0),
    members=(Member("0.safetensors", "0" * 64, "tiny", {"depth": 3}, 3),),
)
FULL["labels"] = {"names": ["background", "WMH", "stroke"], "activation": "softmax"}
FULL["others"] = [
    {
        "label": "stroke",
        "threshold": 0.4,
        "min_lesion_mm3": 20.0,
        "lesion_peak": 0.5,
        "caution": "!",
    }
]
FULL["readers"] = [
    {"name": "sparing", "threshold": 0.8, "min_lesion_mm3": 20.0, "lesion_peak": 0.9},
    {"name": "generous", "threshold": 0.3, "min_lesion_mm3": 5.0, "lesion_peak": 0.4},
]
FULL["flips"] = True
KEYS = [p for p in paths(FULL) if isinstance(p[-1], str) and p[-1] != "depth"]


def test_files_of_version_0_1_mean_no_further_rule() -> None:
    old = copy.deepcopy(FULL)
    for path in ADDED:
        del parent(old, path)[path[-1]]
    read = preset.from_json(json.dumps(old))
    post = read.postprocessing
    assert (post.min_lesion_mm3, post.lesion_peak, post.end_slices_of) == (0, 0, "scan")
    assert (read.preprocessing.centre, read.preprocessing.pixel_mm) == ("matrix", None)
    assert (read.others, read.readers, read.flips) == ((), (), False)
    assert [one.slice for one in read.inputs] == [0, 0]


def test_every_key_is_visited() -> None:
    assert len(KEYS) == 14 + 2 * 6 + 2 + 12 + 5 + 5 + 5 + 2 * 4


# Earlier versions wrote no such keys.
ADDED = [
    *(("others", 0, key) for key in ("lesion_peak", "caution")),
    ("others",),
    ("readers",),
    ("flips",),
    *(("inputs", place, "slice") for place in (0, 1)),
    *(("preprocessing", key) for key in ("centre", "pixel_mm")),
    *(("postprocessing", key) for key in ("min_lesion_mm3", "lesion_peak", "end_slices_of")),
]


@pytest.mark.parametrize("path", [path for path in KEYS if path not in ADDED], ids=str)
def test_each_key_is_needed(path: Path) -> None:
    value = copy.deepcopy(FULL)
    del parent(value, path)[path[-1]]
    assert path[-1] in refused(value)


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("inputs", 0),
        ("labels",),
        ("preprocessing",),
        ("postprocessing",),
        ("members", 0),
        ("readers", 0),
    ],
    ids=str,
)
def test_no_other_key_is_taken(path: Path) -> None:
    value = copy.deepcopy(FULL)
    parent(value, (*path, "x"))["threshhold"] = 0.5
    assert "'threshhold'" in refused(value)


# What is of another type than a value of each type; in Python, True is 1.
OTHERS: dict[type, list[Any]] = {
    bool: ["true", 1, 0.0, [], {}, None],
    str: [1, True, [], ["error"], {}, None],
    int: ["3", 3.0, True, [3], {}, None],
    float: ["0.5", True, [0.5], {}, None],
    list: [{}, {"0": 16, "1": 24}, "16", 16, True],
    dict: [[], [[]], "x", 1, True, None],
}


@pytest.mark.parametrize("path", [p for p in paths(FULL) if p[-1] != "depth"], ids=str)
def test_each_value_has_one_type(path: Path) -> None:
    for junk in OTHERS[type(parent(FULL, path)[path[-1]])]:
        if junk is None and path[-1] in ("ceiling", "clip", "field", "pixel_mm"):
            continue  # null: no ceiling, whole slices, the scan's pixels
        value = copy.deepcopy(FULL)
        parent(value, path)[path[-1]] = junk
        refused(value)


def at(path: str, junk: Any) -> dict[str, Any]:
    """The valid tree with another value at a dotted path."""
    keys = tuple(int(key) if key.isdigit() else key for key in path.split("."))
    value = copy.deepcopy(FULL)
    parent(value, keys)[keys[-1]] = junk
    return value


@pytest.mark.parametrize(
    ("path", "junk"),
    [
        ("format", 0),
        ("format", 1),  # with the keys of format 2
        ("format", 3),
        ("format", 2.0),
        ("format", "1"),
        ("name", ""),
        ("name", "Upper"),
        ("name", ".hidden"),
        ("name", "a/b"),
        ("name", "a\n"),
        ("name", "x" * 65),
        ("description", "two\nlines"),
        ("description", "\x1b[31mred"),
        ("licence", "\ud800"),
        ("inputs", []),
        ("inputs", [FULL["inputs"][1]]),  # T1 alone
        ("inputs", [FULL["inputs"][0]] * 2),  # one name for two
        ("inputs", [{**FULL["inputs"][0], "name": f"{i}"} for i in range(65)]),
        ("inputs.0.name", ""),
        ("inputs.0.name", " FLAIR"),
        ("inputs.0.name", "x" * 65),
        ("inputs.0.name", "two\nlines"),
        ("inputs.0.scan", "PD"),
        ("inputs.0.how", "guess"),
        ("inputs.0.if_missing", "zero"),  # FLAIR is always there
        ("inputs.1.if_missing", "guess"),
        ("inputs.1.port", ""),
        ("inputs.1.port", "a/b"),
        ("inputs.1.port", "Deep"),
        ("labels.names", []),
        ("labels.names", ["stroke"]),
        ("labels.names", ["wmh"]),
        ("labels.names", ["WMH", "WMH"]),
        ("labels.names", ["WMH", ""]),
        ("labels.names", ["WMH", *(f"region {i}" for i in range(256))]),
        ("labels.activation", "relu"),
        ("labels", {"names": ["WMH"], "activation": "softmax"}),
        ("others.0.label", "WMH"),
        ("others.0.label", "infarct"),
        ("others.0.threshold", 1),
        ("others.0.min_lesion_mm3", -1),
        ("others.0.lesion_peak", 1),
        ("readers.0.name", "balanced"),
        ("readers.0.name", "generous"),  # twice
        ("readers.0.threshold", 1),
        ("readers.0.threshold", 0.49),  # marks more than the balanced reader
        ("readers.1.threshold", 0.51),  # marks less
        ("readers.1.threshold", -0.1),
        ("readers.1.min_lesion_mm3", -1),
        ("readers.0.min_lesion_mm3", 10_001),
        ("readers.0.lesion_peak", 1),
        ("others.0.caution", "two\nlines"),
        ("preprocessing.pixel_mm", 0),
        ("inputs.0.slice", 9),
        ("inputs.0.how", "x"),
        ("inputs.1.how", "top-hat"),
        ("inputs.1", {**FULL["inputs"][1], "scan": "MNI", "how": "x"}),  # with one label
        ("preprocessing", []),
        ("preprocessing.field", [200]),
        ("preprocessing.field", [200, 200, 200]),
        ("preprocessing.field", [15, 200]),
        ("preprocessing.field", [200, 1025]),
        ("preprocessing.orientation", "LPL"),
        ("preprocessing.orientation", "axial"),
        ("preprocessing.orientation", ""),
        ("preprocessing.order", "normalise"),
        ("preprocessing.mask", "both"),
        ("preprocessing.flair_threshold", 0),
        ("preprocessing.flair_threshold", -70.0),
        ("preprocessing.flair_threshold", 10**400),
        ("preprocessing.t1_threshold", "30"),
        ("preprocessing.padding", 0),
        ("preprocessing.ceiling", 1),
        ("preprocessing.ceiling", -2.0),
        ("preprocessing.clip", [6, 12]),
        ("preprocessing.clip", [-6, 0]),
        ("preprocessing.clip", [-6]),
        ("postprocessing.threshold", 1),
        ("postprocessing.threshold", -0.1),
        ("postprocessing.end_slices", 0.5),
        ("postprocessing.end_slices", -0.1),
        ("postprocessing.min_lesion_mm3", -1),
        ("postprocessing.min_lesion_mm3", 10_001),
        ("postprocessing.lesion_peak", -0.1),
        ("postprocessing.lesion_peak", 1),
        ("members", [FULL["members"][0]] * 2),  # one file for two members
        ("members", [{**FULL["members"][0], "file": f"{i}.safetensors"} for i in range(65)]),
        ("members.0.sha256", "0" * 63),
        ("members.0.sha256", "A" * 64),
        ("members.0.sha256", "0" * 64 + "\n"),
        ("members.0.network", ""),
        ("members.0.network", "unet\n"),
        ("members.0.parameters", 0),
        ("members.0.parameters", 3.0),
        ("members.0.options", []),
        ("members.0.options.depth", [3]),
    ],
)
def test_impossible_values(path: str, junk: Any) -> None:
    refused(at(path, junk))


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../0.safetensors", "/etc/passwd", "a/0.safetensors", "a\\0.safetensors",
        "C:0.safetensors", "0.safetensors/", "0.safetensors\0", "\0.safetensors", ".safetensors",
        "preset.json", "MODEL_CARD.md", "0.h5", "0.safetensors\n", "x" * 200 + ".safetensors",
    ],
)  # fmt: skip
def test_weight_files_lie_in_the_folder(name: str) -> None:
    assert "members[0].file" in refused(at("members.0.file", name))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e400"])
@pytest.mark.parametrize("key", ["flair_threshold", "threshold", "depth"])
def test_numbers_are_finite(number: str, key: str) -> None:
    text = json.dumps(FULL)
    old = {"flair_threshold": "70.0", "threshold": "0.5", "depth": "3"}[key]
    assert text.count(f'"{key}": {old}') == 1
    refused(text.replace(f'"{key}": {old}', f'"{key}": {number}'))


def test_duplicate_keys() -> None:
    text = json.dumps(FULL).replace('"format": 2', '"format": 2, "format": 2')
    assert "twice" in refused(text)
    text = json.dumps(FULL).replace('"depth": 3', '"depth": 3, "depth": 4')
    assert "twice" in refused(text)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '"x"', "{}", "\ufeff{}", "{'a': 1}"])
def test_not_a_preset(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("depth", [2, 50, 300, 700, 900, 950, 980, 1000, 20_000, 200_000])
def test_deeply_nested(depth: int) -> None:
    refused("[" * depth + "]" * depth)
    deep = '{"a":' * depth + "1" + "}" * depth
    refused(deep)
    refused(json.dumps(FULL).replace('"depth": 3', f'"depth": {deep}'))
    refused(json.dumps(FULL).replace('"depth": 3', f'"depth": {"[" * depth + "]" * depth}'))


def test_huge() -> None:
    refused(at("description", "\n" * 10**6))
    refused(at("members", [FULL["members"][0]] * 1000))
    refused({**FULL, **{f"key{i}": i for i in range(20_000)}})
    refused(at("members.0.options", {"x" * 10**6: None}))
    refused(json.dumps(FULL).replace('"depth": 3', f'"depth": {"9" * 10**6}'))
    refused("9" * 10**6)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*FULL, "x"]), inner),
    max_leaves=10,
)


@given(JSON)
@settings(max_examples=50)
def test_any_json_is_refused_cleanly(value: Any) -> None:
    refused(json.dumps(value))


# Changes ----------------------------------------------------------------------------------------


def test_with_another_threshold() -> None:
    made = make_preset()
    changed = preset.with_postprocessing(made, threshold=0.25)
    assert changed.postprocessing == replace(made.postprocessing, threshold=0.25)
    assert replace(changed, postprocessing=made.postprocessing) == made
    for wrong in (1.0, -0.1, float("nan")):
        # The user's number is wrong, not the model's file.
        with pytest.raises(UsageError, match="0 to below 1"):
            preset.with_postprocessing(made, threshold=wrong)


READERS = (Reader("sparing", 0.8, 20.0, 0.9), Reader("generous", 0.3, 0.0, 0.4))
OF_HEAD = Postprocessing(0.5, 0.2, 10.0, 0.7, "head")


def test_readers_have_their_own_rules_and_the_slices_of_the_method() -> None:
    made = make_preset(postprocessing=OF_HEAD, readers=READERS)
    assert preset.reader_names(made) == ("balanced", "sparing", "generous")
    assert preset.with_postprocessing(made) == made
    rules = {
        name: preset.with_postprocessing(made, reader=name).postprocessing
        for name in preset.reader_names(made)
    }
    assert rules == {
        "balanced": OF_HEAD,
        "sparing": Postprocessing(0.8, 0.2, 20.0, 0.9, "head"),
        "generous": Postprocessing(0.3, 0.2, 0.0, 0.4, "head"),
    }
    for number in ({"threshold": 0.95}, {"min_lesion_mm3": 3.0}, {"lesion_peak": 0.0}):
        # One number of a reader is replaced, whatever the other readers have.
        for name in preset.reader_names(made):
            changed = preset.with_postprocessing(made, reader=name, **number)
            assert changed.postprocessing == replace(rules[name], **number)
            assert changed.readers == ()


def test_a_reader_that_a_model_lacks_is_named_with_those_it_has() -> None:
    made = make_preset(readers=READERS[:1])
    with pytest.raises(UsageError) as caught:
        preset.with_postprocessing(made, reader="generous")
    told = str(caught.value)
    assert "reader generous" in told
    assert "some-model, which has balanced, sparing" in told
    for name in ("published", "published-stack", "released"):
        published = make_preset(postprocessing=METHODS[name].postprocessing)
        with pytest.raises(UsageError, match="which has balanced"):
            preset.with_postprocessing(published, reader="sparing")


def test_a_method_keeps_its_name_with_its_own_readers() -> None:
    method = METHODS["synthetic"]
    readers = (Reader("sparing", 0.9, 20.0, 0.9),)
    made = make_preset(
        preprocessing=method.preprocessing, postprocessing=method.postprocessing, readers=readers
    )
    read = preset.with_postprocessing(made, reader="sparing")
    assert methods.method_name(read) == methods.method_name(made) == "synthetic"
    own = preset.with_postprocessing(made, reader="sparing", threshold=0.95)
    assert methods.method_name(own) == "custom"


def test_scans_are_not_flipped_where_networks_know_left_from_right() -> None:
    inputs = (*inputs_of_channels(1, "error"), Input("x", "MNI", "x", "error", "scan"))
    made = make_preset(inputs=inputs, preprocessing=Preprocessing(orientation="LPS"))
    preset.validate(made)
    with pytest.raises(UsageError, match="some-model: left and right"):
        preset.with_flips(made, True)
    assert preset.with_flips(made, False) == made
    value = json.loads(preset.to_json(made)) | {"flips": True}
    assert "flips" in refused(value)
    assert preset.with_flips(make_preset(), True).flips


def test_with_changes_checks() -> None:
    assert preset.with_changes(make_preset(), name="other").name == "other"
    with pytest.raises(PresetError):
        preset.with_changes(make_preset(), inputs=())


@pytest.mark.parametrize(
    ("channels", "without_t1", "takes", "works"),
    [(2, "zero", True, True), (2, "error", True, False), (1, "error", False, True)],
)
def test_what_is_asked_of_t1(channels: int, without_t1: Any, takes: bool, works: bool) -> None:
    made = make_preset(inputs=inputs_of_channels(channels, without_t1))
    assert (made.takes_t1, made.works_without_t1) == (takes, works)


def test_signature() -> None:
    """Channels are counted port by port; ports come in the order in which they are first named."""
    assert make_preset().signature == of_scan((16, 24), 2)
    inputs = (
        Input("FLAIR, wide", "FLAIR", "z-score", "error", "wide"),
        Input("FLAIR", "FLAIR", "z-score", "error", "near"),
        Input("T1, wide", "T1", "z-score", "zero", "wide"),
    )
    labels = Labels(("background", "stroke", "WMH"), "softmax")
    made = make_preset(inputs=inputs, labels=labels)
    preset.validate(made)
    assert made.signature == Signature((16, 24), (("wide", 2), ("near", 1)), 3, "softmax")
    assert labels.wmh == 2


# Format 1 ---------------------------------------------------------------------------------------

# As version 0.1 wrote them; "channels": 1 and "without_t1": "error" are the other shape.
FORMAT_1 = """{
  "format": 1,
  "name": "some-model",
  "description": "A model.",
  "licence": "Apache-2.0",
  "training_data": "nothing",
  "reference": "none",
  "channels": 2,
  "without_t1": "zero",
  "preprocessing": {
    "field": [16, 24],
    "orientation": "stored",
    "order": "crop-normalise",
    "mask": "each",
    "flair_threshold": 70.0,
    "t1_threshold": 30.0,
    "largest_component": true,
    "padding": "background",
    "ceiling": null,
    "clip": null
  },
  "postprocessing": {
    "threshold": 0.5,
    "end_slices": 0.1,
    "min_lesion_mm3": 0.0,
    "lesion_peak": 0.0
  },
  "members": [
    {
      "file": "0.safetensors",
      "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
      "network": "tiny",
      "options": {},
      "parameters": 3
    }
  ]
}
"""


def format_1(**changes: Any) -> str:
    """The text with other values at the top level."""
    return json.dumps(json.loads(FORMAT_1) | changes)


FLAIR_INPUT = Input("FLAIR", "FLAIR", "z-score", "error", "scan")


@pytest.mark.parametrize(
    ("changes", "t1"),
    [
        ({}, [Input("T1", "T1", "z-score", "zero", "scan")]),
        ({"without_t1": "error"}, [Input("T1", "T1", "z-score", "error", "scan")]),
        ({"channels": 1}, []),
        ({"channels": 1, "without_t1": "error"}, []),
    ],
)
def test_format_1_is_read_on(changes: dict[str, Any], t1: list[Input]) -> None:
    read = preset.from_json(format_1(**changes) if changes else FORMAT_1)
    assert read == make_preset(inputs=(FLAIR_INPUT, *t1), labels=Labels(("WMH",), "sigmoid"))
    # What is written is format 2, and reads back to the same.
    written = json.loads(preset.to_json(read))
    assert written["format"] == 2
    assert not {"channels", "without_t1"} & set(written)
    assert preset.from_json(json.dumps(written)) == read


@pytest.mark.parametrize("key", json.loads(FORMAT_1))
def test_format_1_is_read_strictly(key: str) -> None:
    value = json.loads(FORMAT_1)
    del value[key]
    assert key in refused(value)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 0},
        {"channels": 3},
        {"channels": True},
        {"channels": 2.0},
        {"without_t1": "guess"},
        {"without_t1": None},
        {"format": True},
        {"format": 1.0},
        {"format": "1"},
        {"format": 2},  # with the keys of format 1
        {"inputs": FULL["inputs"]},  # both at once
        {"labels": FULL["labels"]},
        {"format": 2, "inputs": FULL["inputs"], "labels": FULL["labels"]},
        {"description": "two\nlines"},
    ],
)
def test_format_1_of_impossible_values(changes: dict[str, Any]) -> None:
    refused(format_1(**changes))


@given(st.text("RLAPISrlapisX", max_size=4) | st.just("stored"))
def test_orientations_are_those_that_geometry_takes(code: str) -> None:
    """Else a preset would be valid and fail when it is used."""
    try:
        turn_to(Grid((1, 1, 1), (1, 1, 1)), code)
        possible = True
    except UsageError:
        possible = False
    made = make_preset(preprocessing=Preprocessing(orientation=code))
    if possible:
        preset.validate(made)
    else:
        with pytest.raises(PresetError):
            preset.validate(made)
