"""Great Expectations as `gx`: the same library, without half the seconds of its import and of the process's end."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import os
import sys
from types import ModuleType
from typing import Any


class _PutOff(ModuleType):
    """Stands for a module until somebody asks it for anything. (LazyLoader's gives way to a mere `import` already.)"""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _put_off(name: str) -> None:
    """Have a module loaded when it is first used, whoever imports it before."""
    if name not in sys.modules and (spec := importlib.util.find_spec(name)):
        sys.modules[name] = module = _PutOff(name)
        module.__file__ = spec.origin  # `inspect` asks every module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # a check must never call home
# Imported for tests of distributions, for pictures of them, and by way of Spark's MLlib: a third of the time.
# No contract needs any.
for _name in ("scipy.stats", "scipy.sparse", "altair"):
    _put_off(_name)
# What the import leaves stays, so it is looked through for garbage neither now nor at the process's end: two seconds.
gc.disable()
import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig

gc.freeze()
gc.enable()
# Sets its own level at import, to tell of each temporary folder.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

__all__ = ["ProgressBarsConfig", "gx"]
