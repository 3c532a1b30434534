"""An early look: how weights in training do on validation cases.

Cases go through the same preparation, networks and post-processing as in ``wmhseg segment``. What
is looked at while a training is made is validation data, never test data.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wmhseg.datasets import cases
from wmhseg.datasets.cases import Case
from wmhseg.engines import keras_engine
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import InputError, MissingFileError
from wmhseg.io import images
from wmhseg.networks import variables
from wmhseg.preparation import network_input
from wmhseg.preparation.network_input import NetworkInput
from wmhseg.scoring import metrics
from wmhseg.segmentation import prediction
from wmhseg.training import model_folder
from wmhseg.training import plan as plans
from wmhseg.training.plan import Plan, Run

Scores = list[tuple[str, float, float]]
"""Name, DSC and lesion F1 of each case."""


@dataclass(frozen=True)
class _Prepared:
    """A case as the network takes it, and its reference."""

    name: str
    inputs: NetworkInput
    reference: Any


class Look:
    """Validation cases, prepared once."""

    def __init__(self, plan: Plan, data: Path, machine: Runtime) -> None:
        """Reads and prepares all cases.

        Args:
            plan: Pre- and post-processing.
            data: Folder of cases with references, see ``wmhseg.datasets.cases``.
            machine: What to compute on.

        Raises:
            InputError: If a case cannot be used; its name is in the message.
            NoCasesError: If there is none.
        """
        self._plan = plan
        self._engine = keras_engine.KerasEngine(machine)
        self._cases = [self._prepare(case) for case in cases.find_cases(data)]

    def __len__(self) -> int:
        """Number of cases."""
        return len(self._cases)

    def _prepare(self, case: Case) -> _Prepared:
        chosen = model_folder.preset_of(self._plan, ())
        try:
            if case.problem is not None or case.reference is None or case.flair is None:
                received = case.problem.detail if case.problem else "no FLAIR scan"
                raise MissingFileError("FLAIR and wmh were expected", received=received)
            flair = images.read_scan(case.flair, name="FLAIR")
            t1 = images.read_scan(case.t1, name="T1") if case.t1 and chosen.channels == 2 else None
            scale = plans.intensity_scale(self._plan, challenge=case.in_challenge_layout)
            inputs = network_input.prepare(flair, t1, chosen, intensity_scale=scale)
            labels, _ = images.read_labels(case.reference)
            metrics.binarise(labels, np.zeros(flair.grid.shape, np.uint8))  # sizes agree
        except InputError as error:
            raise type(error)(
                f"Validation case {case.name}: {error.expected}",
                received=error.received,
                advice=error.advice,
            ) from error
        return _Prepared(case.name, inputs, labels)

    def scores(self, run: Run, tensors: variables.Tensors) -> Scores:
        """Segments all cases with one network and scores them.

        Args:
            run: The run that the network is trained in.
            tensors: Its weights.
        """
        found = []
        with tempfile.TemporaryDirectory() as folder:
            model = model_folder.write(
                Path(folder) / self._plan.name,
                model_folder.preset_of(self._plan, (run,)),
                [tensors],
                "# Unfinished\n",
                dtype="float32",
            )
            for case in self._cases:
                mask = prediction.predict(case.inputs, model, self._engine).mask
                truth, result = metrics.binarise(case.reference, mask)
                f1 = metrics.match_lesions(truth, result).f1
                found.append((case.name, metrics.dsc(truth, result), f1))
        return found
