"""Modules that are loaded when they are first used, though something imports them before.

asyncio imports ssl, which costs every daemon a megabyte and its start a tenth; none of them speaks TLS unless a plugin
does. `importlib.util.LazyLoader` is made for this, but before Python 3.12 the second `import` of a module loads it.
"""

from __future__ import annotations

import sys
import threading
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

_lock = threading.RLock()


class _Late(ModuleType):
    """Becomes the module itself when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if "__file__" not in self.__dict__:  # neither loaded by another thread, nor being loaded by this one
                _load(self)
        if name in self.__dict__:
            return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _load(module: ModuleType) -> None:
    parent, _, child = module.__name__.rpartition(".")
    spec = PathFinder.find_spec(module.__name__, sys.modules[parent].__path__ if parent else None)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module named {module.__name__!r}", name=module.__name__)
    module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, spec.parent
    module.__file__ = spec.origin
    spec.loader.exec_module(module)
    module.__class__ = ModuleType
    if parent:
        setattr(sys.modules[parent], child, module)


def load_late(*names: str) -> None:
    """Stands in for those of these modules that were not loaded yet."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = _Late(name)
