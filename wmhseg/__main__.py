"""Runs the command line: ``python -m wmhseg``."""

import sys

from wmhseg.cli.main import main

sys.exit(main())
