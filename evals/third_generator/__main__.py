"""Writes the world of one seed: `python -m evals.third_generator SEED OUT`."""

import argparse
import json
from pathlib import Path

from evals.third_generator.generate import generate

parse = argparse.ArgumentParser(description=__doc__)
parse.add_argument("seed", type=int)
parse.add_argument("out", type=Path)
options = parse.parse_args()
print(json.dumps(generate(options.seed, options.out), indent=1))
