"""What a model is besides its weights: frozen records that are read from and written to JSON.

Reading is strict: an unknown or a missing key, a wrong type or an impossible value is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from wmhseg import records
from wmhseg.errors import PresetError, UsageError
from wmhseg.networks import catalogue
from wmhseg.networks.signature import Signature
from wmhseg.records import MismatchError, require
from wmhseg.weights import inputs as ends
from wmhseg.weights.inputs import Input, Labels
from wmhseg.weights.processing import (
    MAX_MIN_LESION_MM3,
    OtherLabel,
    Postprocessing,
    Preprocessing,
    Reader,
    ReaderName,
    check_anatomical,
    check_method,
    check_others,
    check_readers,
    padded_field,
)

FORMAT = 2
MAX_MEMBERS = 64
_ANY_FIELD = (64, 64)  # stands for whole slices where no scan is at hand
NetworkOption = int | float | bool | str


@dataclass(frozen=True)
class Member:
    """One network of an ensemble.

    Attributes:
        file: Name of the weight file in the model's folder.
        sha256: Checksum of that file, 64 hexadecimal digits.
        network: Name in ``wmhseg.networks.catalogue.NETWORKS``.
        options: Arguments of the network besides its signature.
        parameters: Number of parameters, checked when the network is built.
    """

    file: str
    sha256: str
    network: str
    options: dict[str, NetworkOption]
    parameters: int


@dataclass(frozen=True)
class Preset:
    """A model: what it is, what goes in, which networks, what comes out.

    Attributes:
        format: Version of this form, 2. ``from_json`` also reads 1.
        name: Name of the model, and of its folder.
        description: One sentence.
        licence: Licence of the weights (SPDX identifier, or a sentence).
        training_data: What the weights were trained on.
        reference: The publication of the method.
        inputs: The channels that all members take.
        labels: What all members say.
        preprocessing: See Preprocessing.
        postprocessing: See Postprocessing.
        members: One or more networks whose probabilities are averaged.
        others: Labels besides WMH that masks are made of.
        readers: Rules for readers who mark less or more than ``postprocessing``, the balanced one.
        flips: Whether probabilities are averaged with those of the scan flipped left to right.
    """

    format: int
    name: str
    description: str
    licence: str
    training_data: str
    reference: str
    inputs: tuple[Input, ...]
    labels: Labels
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    members: tuple[Member, ...]
    others: tuple[OtherLabel, ...] = records.added(())
    readers: tuple[Reader, ...] = records.added(())
    flips: bool = records.added(False)

    @property
    def marked(self) -> tuple[str, ...]:
        """The labels that masks are made of, WMH first; none of structures."""
        return () if self.labels.anatomical else (ends.WMH, *(other.label for other in self.others))

    @property
    def takes_t1(self) -> bool:
        """Whether a T1 scan is of any use."""
        return any(one.scan == "T1" for one in self.inputs)

    @property
    def works_without_t1(self) -> bool:
        """Whether FLAIR alone is enough."""
        return all(one.if_missing == "zero" for one in self.inputs if one.scan == "T1")

    @property
    def takes_location(self) -> bool:
        """Whether the networks are told where voxels lie in the brain."""
        return any(one.scan == "MNI" for one in self.inputs)

    @property
    def signature(self) -> Signature:
        """Both ends of the members' networks; on some field if they take whole slices."""
        channels: dict[str, int] = {}
        for one in self.inputs:
            channels[one.port] = channels.get(one.port, 0) + 1
        return Signature(
            self.preprocessing.field or _ANY_FIELD,
            tuple(channels.items()),
            len(self.labels.names),
            self.labels.activation,
        )


def _failed(mismatch: MismatchError) -> PresetError:
    return PresetError(f"preset.json: {mismatch.expected}", received=mismatch.received)


def validate(preset: Preset) -> None:
    """Checks what types alone do not say.

    Raises:
        PresetError: If a value is out of range or two values contradict each other.
    """
    try:
        _check_model(preset)
        ends.check_inputs(preset.inputs)
        _check_axes(preset)
        ends.check_labels(preset.labels)
        check_method(preset.preprocessing, preset.postprocessing)
        check_others(preset.others, preset.labels)
        check_readers(preset.readers, preset.postprocessing)
        check_anatomical(preset)
        _check_members(preset.members)
    except MismatchError as mismatch:
        raise _failed(mismatch) from None


def _check_model(preset: Preset) -> None:
    require(preset.format == FORMAT, "format", f"{FORMAT}", preset.format)
    check_texts(preset)


def check_texts(model: Any) -> None:
    """Checks the name and the sentences of a model.

    Args:
        model: A preset, or the plan of its training.

    Raises:
        MismatchError: If the name is odd, or a sentence is not one line of printable text.
    """
    require(
        bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", model.name)),
        "name",
        "a name of small letters, digits, '.', '_' and '-'",
        model.name,
    )
    for name in ("description", "licence", "training_data", "reference"):
        text = getattr(model, name)
        require(text.isprintable(), name, "one line of printable text", text)


def _check_axes(preset: Preset) -> None:
    """Left and right are where they are looked for only in axes that are known."""
    axes = preset.preprocessing.orientation
    fits = not preset.takes_location or axes == "LPS"
    require(fits, "preprocessing.orientation", '"LPS" (inputs made from MNI)', axes)
    # Features of the left side would be laid over the right one.
    fits = not preset.takes_location or not preset.flips
    require(fits, "flips", "false (inputs made from MNI)", preset.flips)


def _check_members(members: tuple[Member, ...]) -> None:
    require(
        1 <= len(members) <= MAX_MEMBERS, "members", f"1 to {MAX_MEMBERS} members", len(members)
    )
    files = [member.file for member in members]
    require(len(set(files)) == len(files), "members", "a file of its own for each member", files)
    for number, member in enumerate(members):
        where = f"members[{number}]"
        require(
            bool(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\.safetensors", member.file)),
            f"{where}.file",
            "the plain name of a .safetensors file, without folders",
            member.file,
        )
        require(
            bool(re.fullmatch(r"[0-9a-f]{64}", member.sha256)),
            f"{where}.sha256",
            "64 hexadecimal digits",
            member.sha256,
        )
        require(
            bool(re.fullmatch(r"[a-z0-9_-]{1,64}", member.network)),
            f"{where}.network",
            "the name of a network",
            member.network,
        )
        require(member.parameters > 0, f"{where}.parameters", "more than 0", member.parameters)


def from_json(text: str) -> Preset:
    """Reads a preset.

    Args:
        text: The content of preset.json.

    Returns:
        The checked preset.

    Raises:
        PresetError: If the text is not JSON of exactly this form.
    """
    try:
        value = records.loads(text)
    except ValueError as error:
        raise PresetError("preset.json: JSON was expected", received=str(error)) from None
    try:
        preset = _parse(value)
    except MismatchError as mismatch:
        raise _failed(mismatch) from None
    validate(preset)
    return preset


@dataclass(frozen=True)
class _Format1:
    """A preset as version 0.1 wrote it; ``inputs.inputs_of_channels`` says what its inputs mean."""

    format: int
    name: str
    description: str
    licence: str
    training_data: str
    reference: str
    channels: int
    without_t1: Literal["error", "zero"]
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    members: tuple[Member, ...]


def _parse(value: Any) -> Preset:
    """Turns a JSON value of either format into a record, unchecked but for its form."""
    number = value.get("format") if isinstance(value, dict) else None
    # Not "number == 1": JSON's true and 1.0 would pass for it.
    if type(number) is not int or number != 1:
        return records.parse(Preset, value)
    old = records.parse(_Format1, value)
    values = {f.name: getattr(old, f.name) for f in fields(old)}
    inputs = ends.inputs_of_channels(values.pop("channels"), values.pop("without_t1"))
    return Preset(**(values | {"format": FORMAT, "inputs": inputs, "labels": ends.WMH_ALONE}))


def to_json(preset: Preset) -> str:
    """Writes a preset as JSON text that ``from_json`` reads back to an equal record.

    Raises:
        PresetError: If a value is not of its type or out of range.
    """
    text = records.dumps(preset)
    if from_json(text) != preset:
        raise _failed(
            MismatchError("the top level", "values of exactly the types of Preset", preset)
        )
    return text


def check_marks(preset: Preset) -> None:
    """Makes sure that a model marks hyperintensities.

    Raises:
        UsageError: If it names the structures of a head in place of them.
    """
    if preset.labels.anatomical:
        raise UsageError(
            "A model that marks white matter hyperintensities was expected",
            received=f"{preset.name}, which names the structures of a head",
            advice="wmhseg models lists others.",
        )


def check_marked(preset: Preset, labels: Iterable[str], advice: str = "") -> None:
    """Makes sure that a model marks what is asked of it.

    Args:
        preset: The model's.
        labels: What masks are asked of.
        advice: What to do about it.

    Raises:
        UsageError: If it does not mark one of them.
    """
    for label in labels:
        if label not in preset.marked[1:]:
            raise UsageError(
                f"A model that marks {label} besides WMH was expected",
                received=f"{preset.name}, which marks {', '.join(preset.marked)}",
                advice=advice,
            )


def on_slices(preset: Preset, rows: int, columns: int) -> Preset:
    """The preset for slices of one size: whole slices become a field of that size.

    Args:
        preset: Of a model.
        rows: Of the slices.
        columns: Of the slices.
    """
    if preset.preprocessing.field is not None:
        return preset
    field = padded_field(rows, columns)
    return replace(preset, preprocessing=replace(preset.preprocessing, field=field))


def with_changes(preset: Preset, **changes: Any) -> Preset:
    """Returns a checked copy with other values, such as another threshold.

    Raises:
        PresetError: If a value is out of range.
    """
    changed = replace(preset, **changes)
    validate(changed)
    return changed


def unwritten_member(
    file: str, network: str, options: Mapping[str, NetworkOption], signature: Signature
) -> Member:
    """A member whose weight file is still to be written, which fills its checksum in.

    Args:
        file: Name of the weight file.
        network: Name in ``wmhseg.networks.catalogue.NETWORKS``.
        options: Arguments of the network besides its signature.
        signature: What goes in and what comes out.

    Raises:
        PresetError: If there is no such network, or it does not take these options or has other
            inputs or outputs.
    """
    described = catalogue.describe(network, signature, options)
    return Member(file, "0" * 64, network, dict(options), described.parameter_count())


def reader_names(preset: Preset) -> tuple[ReaderName, ...]:
    """The readers whose rules a model has, the balanced one first."""
    return ("balanced", *(one.name for one in preset.readers))


def read_by(preset: Preset, reader: ReaderName) -> Postprocessing:
    """The post-processing of a reader.

    Args:
        preset: Of the model.
        reader: Whose rules.

    Raises:
        UsageError: If the model has none of this reader.
    """
    rules = {one.name: one.rules(preset.postprocessing) for one in preset.readers}
    if reader != "balanced" and reader not in rules:
        raise UsageError(
            f"A model with rules of the reader {reader} was expected",
            received=f"{preset.name}, which has {', '.join(reader_names(preset))}",
            advice="A higher --threshold marks less, a lower one more.",
        )
    return preset.postprocessing if reader == "balanced" else rules[reader]


def with_postprocessing(
    preset: Preset,
    *,
    reader: ReaderName = "balanced",
    threshold: float | None = None,
    min_lesion_mm3: float | None = None,
    lesion_peak: float | None = None,
) -> Preset:
    """Returns the preset with other post-processing; None leaves a number as the reader has it.

    With a number of its own the preset has no further readers: they were made beside the old one.

    Raises:
        UsageError: If a number is out of range, or the model has no rules of this reader.
    """
    post = read_by(preset, reader)
    if threshold is not None:
        if not 0 <= threshold < 1:
            raise UsageError("A threshold from 0 to below 1 was expected", received=threshold)
        post = replace(post, threshold=float(threshold))
    if min_lesion_mm3 is not None:
        if not 0 <= min_lesion_mm3 <= MAX_MIN_LESION_MM3:
            raise UsageError(
                f"A smallest lesion of 0 to {MAX_MIN_LESION_MM3:g} mm3 was expected",
                received=min_lesion_mm3,
            )
        post = replace(post, min_lesion_mm3=float(min_lesion_mm3))
    if lesion_peak is not None:
        if not 0 <= lesion_peak < 1:
            raise UsageError("A lesion peak from 0 to below 1 was expected", received=lesion_peak)
        post = replace(post, lesion_peak=float(lesion_peak))
    own = any(number is not None for number in (threshold, min_lesion_mm3, lesion_peak))
    return with_changes(preset, postprocessing=post, readers=() if own else preset.readers)


def with_flips(preset: Preset, flips: bool) -> Preset:
    """Returns the preset with or without averaging over the flipped scan.

    Raises:
        UsageError: If the networks are told where voxels lie in the brain, and it is asked for.
    """
    if flips and preset.takes_location:
        raise UsageError(
            "A model that is not told where in the brain voxels lie was expected, to flip scans",
            received=f"{preset.name}: left and right would be mistaken",
            advice="Leave --flips out.",
        )
    return with_changes(preset, flips=flips)
