"""A structural fuzzer: damaged files for every reader, tried in guarded processes.

    PYTHONPATH=.:tests python -m fuzzing --inputs 1000000

``damage`` and the modules called ``*_inputs`` make the inputs, ``work`` tries them, ``guard`` keeps
watch over the processes that do, ``report`` counts.
"""
