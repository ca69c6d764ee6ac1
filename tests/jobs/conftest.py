"""Property-based tests have no time limit per example: the first one pays for imports, and this machine may be busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("atelier", deadline=None)
settings.load_profile("atelier")
