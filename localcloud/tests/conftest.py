"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["localcloud.testing.fixtures"]

# On a busy machine a slow example is no failure; the rest is hypothesis's own profile, the one for CI where CI is set.
settings.register_profile("patient", settings(settings.default, deadline=None))
settings.load_profile("patient")
