"""The location-sensitive networks that label a voxel by the patches around it, in three forms.

The patch form, for training, takes a patch of each voxel and says one thing about it. The dense
form takes a whole slice and says of every voxel what the patch form would: the same variables, the
fully connected layers as convolutions. The window form, for training too, is the dense form of a
piece of a slice: it tells the voxels whose patches lie in it. A patch of side 64 or 128 is reduced
to 32 x 32 by means of 2 x 2 or 4 x 4 pixels; over all voxels these are means at every pixel, of
which a convolution takes every second or fourth (its dilation).

That needs convolutions of its own for each scale. Early fusion (MSEF) has no such form: its first
convolution adds up, over the scales s, what lies at v + i s for pixel i of voxel v's patches, and
what follows needs that sum for all i and all v. There the dense form is the patch form at every
voxel, which takes many times as long.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wmhseg.networks import graph
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.signature import SCAN, Signature

LOCATION = "location"
"""Name of the port of the location features."""

FEATURES = 8
SIDES = (32, 64, 128)
"""Rows and columns of the patches; all are reduced to those of the first."""

CONVOLUTIONS = ((20, 7), (40, 5), (80, 3), (110, 3))
"""Maps and kernel; they leave 18 x 18 pixels of 32 x 32."""

LAST_SIDE = 18
FIRST_UNITS, SECOND_UNITS = 300, 200

SQUARES = (
    *((9, 9, 1), (7, 7, 5), (4, 4, 11), (0, 0, LAST_SIDE)),
    *((0, 0, 9), (0, 9, 9), (9, 0, 9), (9, 9, 9)),
)
"""First row, first column and side of the squares of the 18 x 18 whose means ``first="means"``
sees: four around the voxel, whose place is (9, 9), and the four quarters."""

Options = Mapping[str, int | float | bool | str]
Form = Literal["dense", "patch"]
_ARCHITECTURES = {"SS": SIDES[:1], "MSEF": SIDES, "MSIW": SIDES, "MSWS": SIDES}
_PLACES = ("none", "LCL", "FFCL", "SFCL")
_FIRSTS = ("pixels", "means")


@dataclass(frozen=True)
class _Wanted:
    """The options of a network, checked."""

    architecture: str
    place: str
    alpha: float
    dropout: float
    first: str

    @property
    def start(self) -> graph.Start:
        """How weights are drawn: as published, or for ReLUs, which then learn sooner."""
        return "he" if self.first == "means" else "glorot"


def location(
    signature: Signature,
    *,
    architecture: str = "MSWS",
    place: str = "none",
    alpha: float = 1.0,
    dropout: float = 0.3,
    first: str = "pixels",
) -> Graph:
    """Describes the dense form.

    Around the field are zeros, as around the brain, so that every voxel gets what its own patch
    would. Where all features of location are 0, which they are outside the brain, or all channels
    of the scan if there is no location, it is background for sure.

    Each stream is four 'valid' convolutions without pooling, then fully connected layers of 300,
    200 and as many units as labels. With late fusion each scale has its own 300, joined before the
    200. Dropout is behind the 300s and the 200; features of location are never dropped.

    Args:
        signature: The port "scan" (published: FLAIR and T1, from 0 to 1 over the scan, 0 outside
            the brain) and, unless ``place`` is "none", the port "location" of 8 features from 0
            to 1; and the labels. Published: background and WMH, softmax.
        architecture: "SS", one scale of 32 x 32; "MSIW", three scales with convolutions of their
            own; "MSWS", three that share convolutions; "MSEF", three scales as channels.
        place: Where location joins: "none"; "LCL", the last convolutional layer, so that the
            300 of each stream see it; "FFCL", the first fully connected layer, so that the 200
            see it; "SFCL", the second one, so that the output sees it.
        alpha: What features of location are multiplied by.
        dropout: Share of a fully connected layer's responses that training drops.
        first: What the 300 see of each of the 110 maps of a stream: "pixels", all 324, as
            published; "means", those of the 8 ``SQUARES``. The second is the first with weights
            that are equal within squares and add up where they overlap. It has a fortieth of the
            weights of that layer, drawn as He says, as all of such a network; SS alone can.

    Returns:
        The graph from (row, column, channel) to probabilities (row, column, label). As published,
        SS has 10,883,112 parameters.

    Raises:
        ValueError: If an option is out of range, or the ports are others.

    Reference:
        M. Ghafoorian, N. Karssemeijer, T. Heskes et al. Location sensitive deep convolutional
        neural networks for segmentation of white matter hyperintensities. Scientific Reports 7
        (2017) 5110.
    """
    wanted = _checked(signature, architecture, place, alpha, dropout, first)
    scan = signature.input_layer(SCAN)
    features = None if place == "none" else signature.input_layer(LOCATION)
    within = scan if features is None else features
    if architecture == "MSEF":
        taken = (scan,) if features is None else (scan, features)
        patches = graph.Patchwise(_of_patches(signature, wanted))
        return Graph(
            "location", Layer(graph.Inside(), (Layer(patches, taken, "patches"), within), "inside")
        )
    pictures = [_dense_picture(scan, side) for side in _ARCHITECTURES[architecture]]
    output = _streams(signature, wanted, pictures, features, dense=True)
    return Graph("location", Layer(graph.Inside(), (output, within), "inside"))


def patch_graph(signature: Signature, options: Options) -> Graph:
    """Describes the patch form, for training: the same variables.

    Args:
        signature: That of the dense form; its field is not looked at.
        options: Those of ``location``.

    Returns:
        The graph from the patch of the widest scale, (128, 128, channel) or (32, 32, channel) for
        SS, and the features of its voxel, (1, 1, 8), to (1, 1, label). The voxel is at row and
        column side / 2 of the patch.

    Raises:
        ValueError: If an option is not known or out of range, or the ports are others.
    """
    return _of_patches(signature, _wanted(signature, options))


def window_graph(signature: Signature, options: Options) -> Graph:
    """Describes the window form, for training: the same variables.

    Args:
        signature: That of the dense form, its field the window.
        options: Those of ``location``; of the architectures SS alone has this form.

    Returns:
        The graph from (row, column, channel) of each port to (row, column, label), with 31 rows
        and columns less: the first is said of row and column 16.

    Raises:
        ValueError: As of ``patch_graph``, or if no patch has room in the window.
    """
    wanted, side = _wanted(signature, options), SIDES[0]
    if wanted.architecture != "SS":
        raise ValueError(f"The architecture SS was expected. Received: {wanted.architecture}.")
    if min(signature.field) < side:
        raise ValueError(f"At least {side} x {side} were expected. Received: {signature.field}.")
    features = None
    if wanted.place != "none":
        beside = (side // 2, side // 2 - 1)
        told = graph.Crop((beside, beside))
        features = Layer(told, (signature.input_layer(LOCATION),), "location_told")
    scan = signature.input_layer(SCAN)
    return Graph("location-window", _streams(signature, wanted, [scan], features, dense=True))


def _wanted(signature: Signature, options: Options) -> _Wanted:
    """The options of ``location``, defaults filled in and checked."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(location).parameters.items()
        if parameter.default is not parameter.empty
    }
    unknown = sorted(options.keys() - defaults)
    if unknown:
        raise ValueError(
            f"Options out of {', '.join(defaults)} were expected. Received: {unknown}."
        )
    return _checked(signature, **(defaults | dict(options)))


def _of_patches(signature: Signature, wanted: _Wanted) -> Graph:
    sides = _ARCHITECTURES[wanted.architecture]
    channels = dict(signature.inputs)[SCAN]
    scan = Layer(graph.InputLayer((sides[-1], sides[-1], channels)), (), SCAN)
    pictures = [_patch_picture(scan, side) for side in sides]
    features = None
    if wanted.place != "none":
        features = Layer(graph.InputLayer((1, 1, FEATURES)), (), LOCATION)
    output = _streams(signature, wanted, pictures, features, dense=False)
    return Graph("location-patch", output)


def _checked(
    signature: Signature, architecture: str, place: str, alpha: float, dropout: float, first: str
) -> _Wanted:
    """Raises ValueError for options or ports that there are not."""
    for what, given, known in (
        ("An architecture", architecture, tuple(_ARCHITECTURES)),
        ("A place", place, _PLACES),
        ("A first layer", first, _FIRSTS),
    ):
        if given not in known:
            raise ValueError(f"{what} out of {', '.join(known)} was expected. Received: {given}.")
    if first == "means" and architecture != "SS":
        raise ValueError(f"The architecture SS was expected with means. Received: {architecture}.")
    if not 0 < alpha <= 1000:
        raise ValueError(f"An alpha above 0 and up to 1000 was expected. Received: {alpha}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"A dropout from 0 to below 1 was expected. Received: {dropout}.")
    ports = dict(signature.inputs)
    expected = {SCAN} if place == "none" else {SCAN, LOCATION}
    if ports.keys() != expected or ports.get(LOCATION, FEATURES) != FEATURES:
        wants = f'the port "{SCAN}"' + (
            f' and the port "{LOCATION}" of {FEATURES} channels'
            if LOCATION in expected
            else " alone"
        )
        raise ValueError(f"{wants} was expected with the place {place}. Received: {ports}.")
    return _Wanted(architecture, place, alpha, dropout, first)


def _dense_picture(scan: Layer, side: int) -> Layer:
    """At every pixel, the mean that a patch of this side is reduced to; zeros around the field."""
    factor = side // SIDES[0]
    around = ((side // 2, side // 2 - 1),) * 2
    padded = Layer(graph.Pad((around[0], around[1])), (scan,), f"scale{side}_pad")
    return _reduced(padded, side, factor, stride=1)


def _patch_picture(scan: Layer, side: int) -> Layer:
    """The patch of this side around the same voxel, reduced to 32 x 32."""
    cut = (scan.size[0] - side) // 2
    if cut:
        scan = Layer(graph.Crop(((cut, cut), (cut, cut))), (scan,), f"scale{side}_crop")
    return _reduced(scan, side, side // SIDES[0], stride=side // SIDES[0])


def _reduced(x: Layer, side: int, factor: int, stride: int) -> Layer:
    return x if factor == 1 else Layer(graph.MeanPool(factor, stride), (x,), f"scale{side}_mean")


def _streams(
    signature: Signature,
    wanted: _Wanted,
    pictures: list[Layer],
    features: Layer | None,
    *,
    dense: bool,
) -> Layer:
    """All that follows the pictures of each scale; probabilities, (row, column, label)."""
    if features is not None and wanted.alpha != 1:
        features = Layer(graph.Scaling(wanted.alpha), (features,), "location_scaled")
    sides = list(_ARCHITECTURES[wanted.architecture])
    names = [f"scale{side}" for side in sides]
    steps = [side // SIDES[0] if dense else 1 for side in sides]
    if wanted.architecture == "MSEF":
        pictures = [Layer(graph.Concatenation(), tuple(pictures), "scales_joined")]
        names, steps = ["scales"], [1]
    responses: list[Layer] = []
    for name, x, step in zip(names, pictures, steps, strict=True):
        shared = names[0] if wanted.architecture == "MSWS" and name != names[0] else None
        for number, (filters, kernel) in enumerate(CONVOLUTIONS, start=1):
            operation = graph.Convolution(
                filters, kernel, padding="valid", dilation=step, start=wanted.start
            )
            shares = f"{shared}_conv{number}" if shared else None
            x = Layer(operation, (x,), f"{name}_conv{number}", shares)
            x = Layer(graph.Relu(), (x,), f"{name}_conv{number}_relu")
        at_once = features if wanted.place == "LCL" else None
        responses.append(_first(x, step, name, wanted, at_once))
    if wanted.place == "FFCL" and features is not None:
        responses.append(features)
    x = _joined(responses, "joined")
    x = _connected(Layer(_fully(SECOND_UNITS, wanted), (x,), "fc2"), wanted.dropout)
    if wanted.place == "SFCL" and features is not None:
        x = _joined([x, features], "joined_location")
    return signature.output_layer(x)


def _first(x: Layer, step: int, name: str, wanted: _Wanted, features: Layer | None) -> Layer:
    """The 300 units of a stream: they see its responses, or means of them, and maybe location."""
    dropout = wanted.dropout
    operation = graph.Convolution(
        FIRST_UNITS, LAST_SIDE, padding="valid", dilation=step, start=wanted.start
    )
    if wanted.first == "means":
        x, operation = _means(x, name), _fully(FIRST_UNITS, wanted)
    if features is None:
        return _connected(Layer(operation, (x,), f"{name}_fc1"), dropout)
    # The same as a layer that takes both, one after the other.
    seen = Layer(operation, (x,), f"{name}_fc1")
    where = graph.Convolution(FIRST_UNITS, 1, bias=False, start=wanted.start)
    placed = Layer(where, (features,), f"{name}_fc1_location")
    return _connected(Layer(graph.Addition(), (seen, placed), f"{name}_fc1_sum"), dropout)


def _means(x: Layer, name: str) -> Layer:
    """The means of each map over ``SQUARES``, square by square."""
    means, found = {1: x}, []
    for number, (row, column, side) in enumerate(SQUARES):
        if side not in means:
            means[side] = Layer(graph.MeanPool(side, 1), (x,), f"{name}_mean{side}")
        rest = LAST_SIDE - side
        sides = ((row, rest - row), (column, rest - column))
        cut = Layer(graph.Crop(sides), (means[side],), f"{name}_square{number}")
        found.append(cut if rest else means[side])
    return _joined(found, f"{name}_means")


def _fully(units: int, wanted: _Wanted) -> graph.Convolution:
    return graph.Convolution(units, 1, start=wanted.start)


def _connected(x: Layer, dropout: float) -> Layer:
    """ReLU and dropout behind a fully connected layer."""
    name = x.name.removesuffix("_sum")
    x = Layer(graph.Relu(), (x,), f"{name}_relu")
    return Layer(graph.Dropout(dropout), (x,), f"{name}_dropout") if dropout else x


def _joined(responses: list[Layer], name: str) -> Layer:
    if len(responses) == 1:
        return responses[0]
    return Layer(graph.Concatenation(), tuple(responses), name)
