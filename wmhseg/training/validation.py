"""Validation: how well weights in training segment cases that they are not trained on.

Cases go through the same preparation, networks and post-processing as in ``wmhseg segment``. Who
looks at their scores while a training is made can choose by them: they are no test data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wmhseg.datasets import cases
from wmhseg.datasets.cases import Case
from wmhseg.engines import keras_engine
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import InputError
from wmhseg.networks import variables
from wmhseg.scoring import masks, metrics
from wmhseg.segmentation import prediction
from wmhseg.training import model_folder
from wmhseg.training.batches import labelled_input
from wmhseg.training.batches.labelled_input import LabelledInput
from wmhseg.training.plan import Plan, Run
from wmhseg.weights import store
from wmhseg.weights.store import Model

Scores = list[tuple[str, float, float]]
"""Name, DSC and lesion F1 of each case."""


class ValidationCases:
    """Validation cases, prepared once and scored as often as asked."""

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

    def _prepare(self, case: Case) -> tuple[str, LabelledInput]:
        try:
            made = labelled_input.read_case(case, self._plan)
        except InputError as error:
            raise type(error)(
                f"Validation case {case.name}: {error.expected}",
                received=error.received,
                advice=error.advice,
            ) from error
        return case.name, made

    def scores(self, run: Run, tensors: variables.Tensors, step: int = 0) -> Scores:
        """Segments all cases with one network and scores them.

        Args:
            run: The run that the network is trained in.
            tensors: Its weights.
            step: After so many steps; no matter here.
        """
        scores = []
        with unfinished(self._plan, run, tensors) as model:
            for name, case in self._cases:
                mask = prediction.predict(case.inputs, model, self._engine).mask
                truth, result = masks.binarise(case.labels, mask)
                f1 = metrics.match_lesions(truth, result).f1
                scores.append((name, metrics.dsc(truth, result), f1))
        return scores


@contextmanager
def unfinished(plan: Plan, run: Run, tensors: variables.Tensors) -> Iterator[Model]:
    """A model of one network whose training goes on, for as long as it is looked at.

    Args:
        plan: What it belongs to.
        run: The run that the network is trained in.
        tensors: Its weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield store.save_model(
            Path(folder) / plan.name,
            model_folder.preset_of(plan, (run,)),
            [tensors],
            "# Unfinished\n",
            dtype="float32",
        )
