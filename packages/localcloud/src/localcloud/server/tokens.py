"""Tokens that only the cloud itself can make, each for one purpose and a time."""

from __future__ import annotations

import hmac
import time

from localcloud.server.credentials import Credentials


class Tokens:
    """The tokens of one cloud.

    Args:
        keys: Whose secret they are made from.
    """

    def __init__(self, keys: Credentials) -> None:
        self._keys = keys

    def given(self, purpose: str, seconds: float) -> str:
        """A token that is good for so many seconds."""
        until = str(int(time.time() + seconds))
        return f"{until}-{self._keys.token(f'{purpose} until {until}')}"

    def valid(self, token: str, purpose: str) -> bool:
        """Whether a token was given for a purpose, and is still good."""
        until, _, proof = token.partition("-")
        expected = self._keys.token(f"{purpose} until {until}")
        return hmac.compare_digest(proof.encode(), expected.encode()) and until.isdigit() and int(until) > time.time()
