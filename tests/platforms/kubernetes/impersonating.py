"""Asking a real API server as somebody else, which its administrator may."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import httpx

ADMINISTRATORS = "system:masters"


@dataclass(frozen=True)
class Impersonating(httpx.Auth):
    """Asks as a user of a group.

    Attributes:
        inner: Proves that an administrator asks.
        who: The user's name.
        group: The user's group.
    """

    inner: httpx.Auth
    who: str
    group: str = ADMINISTRATORS

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add who is meant."""
        request.headers["Impersonate-User"] = self.who
        request.headers["Impersonate-Group"] = self.group
        yield from self.inner.auth_flow(request)
