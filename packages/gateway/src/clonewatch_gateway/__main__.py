"""`python -m clonewatch_gateway` is the command `clonewatch-gateway`."""

import sys

from clonewatch_gateway.main import run

sys.exit(run())
