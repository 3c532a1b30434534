"""Runs the command line: ``python -m wmhseg``."""

import sys

from wmhseg.cli import main

sys.exit(main())
