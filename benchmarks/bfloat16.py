"""An estimate of what a processor with bfloat16 instructions computes, on one that has none.

Such instructions multiply numbers of 8 significant bits and sum the products in float32; between
layers OpenVINO stores 8 bits as well. Here what each convolution takes, its weights (after batch
normalisation is folded into them) and the first of two convolutions' maps that are added are
rounded. That OpenVINO stores just these is an assumption: a test compares the two, and needs a
processor with bfloat16 to do so. Nothing is said about time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wmhseg import runtime
from wmhseg.engines import OpenVinoEngine

# 24 bits of a float32's significand less the 8 of a bfloat16's: the factor of Veltkamp's splitting
# (T. J. Dekker, A floating-point technique for extending the available precision, 1971). OpenVINO
# takes conversions to bfloat16 and back out of a model where the processor has no such numbers.
SPLITTER = np.float32(2**16 + 1)
CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")


def rounded(node: Any) -> Any:
    """The nearest bfloat16 number to each of a node's, as float32; below 5e33."""
    operations = runtime.import_openvino().opset13
    scaled = operations.multiply(node, operations.constant(SPLITTER))
    return operations.subtract(scaled, operations.subtract(scaled, node)).output(0)


def emulated(model: Any) -> Any:
    """Lets a float32 OpenVINO model compute in bfloat16; returns the model itself."""
    runtime.import_openvino()
    # The name that the makers' own quantiser prepares models with as well.
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(model, cf=True)
    made: dict[tuple[str, int], Any] = {}

    def of(output: Any) -> Any:
        key = (output.get_node().get_friendly_name(), output.get_index())
        if key not in made:
            made[key] = rounded(output)
        return made[key]

    for node in model.get_ordered_ops():
        if node.get_type_name() in CONVOLUTIONS:
            for port in node.inputs():
                port.replace_source_output(of(port.get_source_output()))
        elif node.get_type_name() == "Add" and _adds_convolutions(node):
            first = node.input(0)
            first.replace_source_output(of(first.get_source_output()))
    model.validate_nodes_and_infer_types()
    return model


def _adds_convolutions(node: Any) -> bool:
    """Whether a sum is one of maps, not of maps and a bias."""
    return all(
        "Constant" not in port.get_source_output().get_node().get_type_name()
        for port in node.inputs()
    )


def engine(threads: int | None = None) -> OpenVinoEngine:
    """An engine that computes as if the processor had bfloat16."""
    return OpenVinoEngine(runtime.start_openvino(threads), change=emulated)
