"""Every error a user can meet, each with the exit code the command line ends with.

A message says what was expected, then ``Received: …``, then what to do. ``docs/exit-codes.md``
lists the codes, as a test checks. They leave alone what others use: 16 to 31 and 64 to 78 (the
BIDS execution draft, whose own errors have its codes), 125 (Docker), 126 and above (shells).

Classes with children are there to be caught. They have no code of their own and are never raised.
"""

from __future__ import annotations

_LONGEST_SENTENCE = 3000  # a damaged file may be a table of 10,000 columns


def _sentence(text: str) -> str:
    """Text on one line, ending in a full stop."""
    shown = text[:_LONGEST_SENTENCE]
    # File names may hold anything: what steers a terminal is shown as an escape.
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(shown.split()))
    if max(len(text), len(line)) > _LONGEST_SENTENCE:
        line = f"{line[:_LONGEST_SENTENCE]} … ({len(text)} characters in all)"
    return line if line.endswith((".", "!", "?")) else line + "."


class WmhsegWarning(UserWarning):
    """What a person should know about a result that was made all the same.

    The functions of Python give it for every sentence of ``report.warnings``, which holds them as
    well; the command line prints the sentences instead.

    >>> import warnings
    >>> import wmhseg
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", wmhseg.WmhsegWarning)
    ...     result = wmhseg.segment("FLAIR.nii.gz")
    >>> len(caught) == len(result.report.warnings)
    True
    >>> any("No T1 was given" in str(warning.message) for warning in caught)
    True
    """


class WmhsegError(Exception):
    """Base of all errors that a user can do something about.

    Args:
        expected: One sentence on what was expected.
        received: What was found instead (omitted from the text when empty).
        advice: What to do about it (omitted from the text when empty).

    >>> import wmhseg
    >>> try:
    ...     wmhseg.segment("no-such-file.nii.gz")
    ... except wmhseg.InputError as error:
    ...     print(type(error).__name__, error.exit_code)
    MissingFileError 80
    """

    exit_code = 1

    def __init__(self, expected: str, *, received: object = "", advice: str = "") -> None:
        """Puts the parts together to one line."""
        self.expected = expected
        self.received = str(received)
        self.advice = advice
        parts = [expected, f"Received: {self.received}" if self.received else "", advice]
        super().__init__(" ".join(_sentence(part) for part in parts if part))


class UsageError(WmhsegError):
    """The command line or the arguments of a call do not fit together."""

    exit_code = 2


class InputError(WmhsegError):
    """Base of everything that is wrong with what is read: files, and the folders they lie in."""


class MissingFileError(InputError):
    """An input file or folder does not exist."""

    exit_code = 80


class UnreadableFileError(InputError):
    """An input exists but cannot be read: permissions, a folder, a pipe, a broken disk."""

    exit_code = 81


class NotNiftiError(InputError):
    """A file is not NIfTI, or is NIfTI of a kind that is not a grey-value image."""

    exit_code = 82


class TruncatedFileError(InputError):
    """A file ends early, or its gzip stream is damaged."""

    exit_code = 83


class DimensionError(InputError):
    """An image is not three-dimensional, or an axis is too short."""

    exit_code = 84


class GridMismatchError(InputError):
    """Two images that must share one voxel grid do not."""

    exit_code = 85


class NonFiniteError(InputError):
    """An image holds NaN or infinite values."""

    exit_code = 86


class ConstantImageError(InputError):
    """All voxels of an image have one value."""

    exit_code = 87


class EmptyMaskError(InputError):
    """No voxel reaches the brain-mask threshold."""

    exit_code = 88


class TooLargeError(InputError):
    """An image claims more voxels than the supported maximum."""

    exit_code = 89


class MissingT1Error(InputError):
    """The chosen model needs a T1 image and none was given."""

    exit_code = 90


class RegistrationError(InputError):
    """T1 could not be registered to FLAIR, or a scan to the average brain."""

    exit_code = 91


class UnsuitableScanError(InputError):
    """A scan is not what it is given for: another contrast, a mask, exchanged, too small."""

    exit_code = 92


class NoCasesError(InputError):
    """A folder holds no case, or none that was asked for."""

    exit_code = 93


class TableError(InputError):
    """A table of scores, subjects or patients is not of the documented form."""

    exit_code = 94


class LabelsError(InputError):
    """A mask or label map holds other labels than it should."""

    exit_code = 95


class OutputError(WmhsegError):
    """Base of everything that is wrong with the place results go to."""


class OutputNotWritableError(OutputError):
    """The output folder cannot be created or written to."""

    exit_code = 96


class DiskFullError(OutputError):
    """The output disk has no room left."""

    exit_code = 97


class ModelError(WmhsegError):
    """Base of everything that is wrong with a model folder."""


class UnknownModelError(ModelError):
    """No model of that name or path is installed."""

    exit_code = 100


class ChecksumError(ModelError):
    """A weight file is not the one its preset names (sha256 differs)."""

    exit_code = 101


class PresetError(ModelError):
    """A preset is not strict JSON of the documented form, or its values contradict each other."""

    exit_code = 102


class WeightsError(ModelError):
    """A weight file does not hold what the network needs (layers, shapes, types)."""

    exit_code = 103


class DownloadError(ModelError):
    """The released file of a model cannot be fetched from where it is said to be."""

    exit_code = 104


class MissingPackageError(WmhsegError):
    """A Python package that a command needs is not installed."""

    exit_code = 109


class DeviceError(WmhsegError):
    """The device or engine asked for is not there."""

    exit_code = 110


class EvaluationError(WmhsegError):
    """Base of everything that goes wrong while results are scored."""


class CasesFailedError(EvaluationError):
    """Cases were not scored, or have an empty reference; the others have been scored."""

    exit_code = 111


class OfficialDifferenceError(EvaluationError):
    """The organisers' script finds other numbers for a case."""

    exit_code = 112


class OfficialScriptError(EvaluationError):
    """The organisers' script does not run, or prints something else."""

    exit_code = 113


class PlotsUnavailableError(EvaluationError):
    """Plots were asked for and matplotlib is not installed."""

    exit_code = 114


class SubjectsFailedError(WmhsegError):
    """Subjects of a batch were not segmented; the others have been."""

    exit_code = 115


class ScoringFailedError(EvaluationError):
    """A process that scores died; what it had finished is kept."""

    exit_code = 116


class ClusterError(WmhsegError):
    """SLURM or the scheduler of Dask is not there, or refuses the work."""

    exit_code = 118


class TrainingError(WmhsegError):
    """Base of everything that is wrong with a training."""


class NotBetterError(TrainingError):
    """A refined model is not better on patients left out than the model that it was made from."""

    exit_code = 119


class PlanError(TrainingError):
    """A training plan is not strict JSON of the documented form, or contradicts itself."""

    exit_code = 120


class ResumeError(TrainingError):
    """The output folder holds a training of another plan or of other data."""

    exit_code = 121


class SubjectsSkippedError(TrainingError):
    """Broken subjects were left out; the model was trained on the others."""

    exit_code = 122


class TrainingFailedError(TrainingError):
    """The loss is not finite, or stays at its worst, or the process that draws batches died."""

    exit_code = 123


class BidsError(WmhsegError):
    """Base of what the BIDS execution draft has codes of its own for; of ``wmhseg bids`` alone."""


class InvalidDatasetError(BidsError):
    """A folder is no BIDS data set."""

    exit_code = 16


class AnalysisLevelError(BidsError):
    """The level of analysis is neither participant nor group."""

    exit_code = 17


class NothingSelectedError(BidsError):
    """Labels or filters that were given choose no scan of the data set."""

    exit_code = 18


# What only some commands need: the package as it is imported, and the extra that brings it.
EXTRAS = {
    "openvino": "openvino",
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "jax": "jax",
    "matplotlib": "plots",
    "distributed": "dask",
    "dask_jobqueue": "dask",
    "sklearn": "baselines",
}


def missing_package(module: str) -> MissingPackageError:
    """The error of an import that found nothing.

    Args:
        module: What was imported, as ``ModuleNotFoundError.name`` says.
    """
    package = module.split(".")[0]
    extra = f"[{EXTRAS[package]}]" if package in EXTRAS else ""
    return MissingPackageError(
        f'The Python package "{package}" was expected to be installed',
        received="none",
        advice=f"It comes with pip install 'wmhseg{extra}' (in a clone: pip install '.{extra}').",
    )


EXIT_OK = 0
EXIT_INTERNAL = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
