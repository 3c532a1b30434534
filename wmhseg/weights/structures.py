"""The structures of the head that an anatomy network tells apart."""

from __future__ import annotations

STRUCTURES = (
    "background",
    "head",  # skull, scalp, meninges, neck: all of the head that nothing below is
    "outer-csf",  # in sulci and cisterns
    "left-lateral-ventricle",  # the patient's left; choroid plexus is of its ventricle
    "right-lateral-ventricle",
    "other-ventricles",  # third and fourth
    "cortex",
    "white-matter",  # lesions and the septum between the lateral ventricles included
    "deep-grey",  # thalamus, striatum, pallidum, hippocampus, amygdala, ventral diencephalon
    "cerebellum",  # white matter and cortex
    "brainstem",
)
"""Number in a map of structures -> its name. Infarcts are what they lie in."""

NUMBER = {name: number for number, name in enumerate(STRUCTURES)}
"""Name -> number."""

BACKGROUND = STRUCTURES[0]
LATERAL = ("left-lateral-ventricle", "right-lateral-ventricle")
"""Left, right: the two that a mirror exchanges."""
