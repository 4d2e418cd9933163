"""A shelf: a package whose modules each end with one plug-in, found by module name and loaded on demand."""

import importlib
import pkgutil
from typing import Any, NamedTuple


class Shelf(NamedTuple):
    """The plug-ins of one package. package: dotted name. attribute: what each module ends with, such as ``ADAPTER``."""

    package: str
    attribute: str

    def names(self) -> list[str]:
        """Names of the modules that hold a plug-in, sorted; only the package itself is imported.

        A module whose name starts with an underscore is not a plug-in.
        """
        found = pkgutil.iter_modules(importlib.import_module(self.package).__path__)
        return sorted(m.name for m in found if not m.name.startswith("_"))

    def load(self, name: str) -> Any:
        """The plug-in of one module. Raises LookupError where there is none of that name."""
        if name not in self.names():
            raise LookupError(f"no {name!r} in {self.package}; it holds: {', '.join(self.names())}")
        return getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
