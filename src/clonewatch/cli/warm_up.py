"""The command that compiles kernels ahead of the first scan."""

from __future__ import annotations

from clonewatch.cli import output
from clonewatch.cli.options import Json, Quiet
from clonewatch.model.errors import OutputError


def warm_up(json: Json = False, quiet: Quiet = False) -> None:
    """Compile the kernels for this machine, so that the first scan does not have to. A second call does nothing.

    The machine code is kept beside the installed package, or in the folder that NUMBA_CACHE_DIR names.

    For example:

      clonewatch warm-up --quiet

      NUMBA_CACHE_DIR=/var/cache/clonewatch clonewatch warm-up
    """
    from clonewatch.cli.progress import watching
    from clonewatch.pipeline.warming import warm_up as run

    with watching(quiet, announce=False) as progress:
        done = run(progress)
    if done.folder is None:
        raise OutputError(
            "compiled kernels cannot be kept: every start compiles again, about a minute",
            fix="Set NUMBA_CACHE_DIR to a folder that you may write to, here and for every later run",
        )
    if json:
        output.as_json({"compiled": done.compiled, "seconds": round(done.seconds, 1), "folder": str(done.folder)})
    elif done.compiled:
        output.say(f"Kernels are compiled: {done.seconds:.0f} s. They are kept in {done.folder}.")
    else:
        output.say(f"Kernels are already compiled. They are kept in {done.folder}.")
