"""Which actions there are: the files of the folder `actions`."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from clonewatch_gateway import actions
from clonewatch_gateway.decisions import Action

ACTIONS: dict[str, Action] = {
    one.name: import_module(f"{actions.__name__}.{one.name}").ACTION for one in pkgutil.iter_modules(actions.__path__)
}
