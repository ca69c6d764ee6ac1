"""Great Expectations as `gx`: the same library, without a third of the seconds of its import."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _PutOff(ModuleType):
    """Stands for a module until somebody asks it for anything. (LazyLoader's gives way to a mere `import` already.)"""

    __file__ = None  # `inspect` asks every module

    def __getattr__(self, name: str) -> Any:
        self._gone()
        return getattr(importlib.import_module(self.__name__), name)

    def _gone(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


@contextmanager
def _put_off(*names: str) -> Iterator[None]:
    """Who imports these modules here gets them loaded when they are first used; who does so later, at once."""
    stand_ins = [_PutOff(name) for name in names if name not in sys.modules]
    sys.modules.update({module.__name__: module for module in stand_ins})
    yield
    for module in stand_ins:
        module._gone()


os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # a check must never call home
# Imported for tests of distributions, for pictures of them, and by way of Spark's MLlib: a third of the time.
# No contract needs any.
with _put_off("scipy.stats", "scipy.sparse", "altair"):
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
# Sets its own level at import, to tell of each temporary folder.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

__all__ = ["ProgressBarsConfig", "gx"]
