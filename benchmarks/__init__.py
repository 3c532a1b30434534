"""What measures wmhseg. Each module that is a command runs as ``python -m benchmarks.NAME``."""

import evaluation as evaluation  # its commands tell errors in one line, and so do these
