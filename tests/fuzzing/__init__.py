"""A structural fuzzer: damaged files for every reader, tried in guarded processes.

    PYTHONPATH=.:tests python -m fuzzing --inputs 1000000

``damage`` and the modules called ``*_inputs`` make the inputs, ``work`` tries them, ``guard`` keeps
watch over the processes that do, ``report`` counts.
"""

import os

# Before NumPy: each process has one processor, and is forked from one without threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(_name, "1")
