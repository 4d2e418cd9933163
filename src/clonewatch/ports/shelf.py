"""A shelf: a package whose modules each end with one plug-in, found by module name, loaded when asked for."""

import importlib
import pkgutil
from typing import Any, NamedTuple


class Shelf(NamedTuple):
    """The plug-ins of one package. package: dotted name. attribute: what each module ends with, such as ``ADAPTER``."""

    package: str
    attribute: str

    def names(self) -> list[str]:
        """Module names that hold a plug-in, sorted; nothing is imported but the package itself.

        A module whose name starts with an underscore is support, not a plug-in.
        """
        found = pkgutil.iter_modules(importlib.import_module(self.package).__path__)
        return sorted(m.name for m in found if not m.name.startswith("_"))

    def load(self, name: str) -> Any:
        """The plug-in of one module. Raises LookupError when there is none of that name."""
        if name not in self.names():
            raise LookupError(f"no {name!r} in {self.package}; there are: {', '.join(self.names())}")
        return getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
