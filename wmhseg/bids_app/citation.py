"""Words for the methods section of a paper about results of the BIDS App."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from wmhseg.html_report import citing
from wmhseg.html_report.citing import CHALLENGE, Measured, References
from wmhseg.measures import uncertainty
from wmhseg.reporting.report import NOT_A_DEVICE
from wmhseg.segmentation import temperature
from wmhseg.segmentation.options import Options
from wmhseg.version import __version__
from wmhseg.weights import preset as presets
from wmhseg.weights.preset import Preset

BIDS = (
    "K.J. Gorgolewski et al. The brain imaging data structure, a format for organizing and "
    "describing outputs of neuroimaging experiments. Scientific Data 3 (2016) 160044."
)
BIDS_APPS = (
    "K.J. Gorgolewski et al. BIDS apps: Improving ease of use, accessibility, and reproducibility "
    "of neuroimaging data analysis methods. PLOS Computational Biology 13 (2017) e1005209."
)


@dataclass(frozen=True)
class Citation:
    """What to say about the results of a data set.

    Attributes:
        methods: Sentences, with the numbers of references in brackets.
        references: In the order of their numbers.
    """

    methods: str
    references: tuple[str, ...]

    def markdown(self) -> str:
        """Text to paste."""
        paragraphs = [
            "# How to cite",
            "These words may be used in a paper as they are. The sidecar of each mask (_mask.json) "
            "says what was done to its scans in particular.",
            "## Methods",
            self.methods,
            "## References",
            "\n".join(f"{n}. {text}" for n, text in enumerate(self.references, 1)),
            NOT_A_DEVICE,
        ]
        return "\n\n".join(paragraphs) + "\n"


def made(preset: Preset, options: Options, anatomy: Preset | None = None) -> Citation:
    """The words for masks, and for the measures that are always made of them.

    Args:
        preset: Of the model that is used.
        options: Whose rules and numbers masks are made by.
        anatomy: Of the model that names structures of the head; None where it is not installed.

    Raises:
        UsageError: Options and model do not fit.
    """
    post = presets.with_postprocessing(
        preset,
        reader=options.reader,
        threshold=options.threshold,
        min_lesion_mm3=options.min_lesion_mm3,
        lesion_peak=options.lesion_peak,
    ).postprocessing
    cite = References()
    networks = len(preset.members)
    many = f"{networks} networks" if networks > 1 else "one network"
    t1 = " and, where there was one, T1-weighted" if preset.takes_t1 else ""
    told = f"{_sentence(preset.description)}; {many}; trained on: {_sentence(preset.training_data)}"
    sentences = [
        f"White matter hyperintensities were segmented on FLAIR{t1} scans with wmhseg "
        f"{__version__}, run as a BIDS App {cite(BIDS, BIDS_APPS)}, and its model {preset.name} "
        f"({told}), after the method of {cite(preset.reference)}; {cite(CHALLENGE)} compares such "
        "methods.",
        *citing.marked(options.reader, asdict(post)),
    ]
    if anatomy is not None:
        sentences.append(citing.named(anatomy.name, anatomy.reference, cite))
    what = Measured(
        placed=anatomy is not None,
        thresholds=uncertainty.around(temperature.threshold(post.threshold, options.temperature)),
        members=networks > 1,
        in_mni=True,
    )
    sentences += citing.measured(what, __version__, cite)
    return Citation(" ".join(sentences), tuple(cite.listed))


def _sentence(text: str) -> str:
    """A sentence within another one."""
    return " ".join(text.split()).rstrip(".")
