"""Which accounts does a cloud have, and whose root is a key?

The configuration names the cloud's own account. Any other is made when its root's keys are made, by whoever asks for
them (`localcloud.setup env --account`, `process.keys`): its folder below `accounts/` of the state folder is all that
makes an account. A running cloud finds it when the keys are first used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localcloud.server import credentials
from localcloud.server.credentials import Credentials


@dataclass(frozen=True)
class Root:
    """The root of an account.

    Attributes:
        account: 12 digits.
        keys: A pair of its keys.
    """

    account: str
    keys: Credentials

    @property
    def arn(self) -> str:
        """What it is called as a principal."""
        return f"arn:aws:iam::{self.account}:root"


class Accounts:
    """The accounts of one cloud.

    Args:
        state: The state folder.
        own: The account that the configuration names; its resources lie in the state folder itself.
    """

    def __init__(self, state: Path, own: str) -> None:
        self.own = own
        self._state = state
        self._roots: dict[str, Root] = {}
        self._read()

    def keys(self, account: str) -> Credentials:
        """A pair of keys of an account's root."""
        return credentials.of(self._state, None if account == self.own else account)

    def names(self) -> list[str]:
        """All accounts, the cloud's own first."""
        return [self.own, *(account for account in credentials.accounts(self._state) if account != self.own)]

    def root(self, access_key_id: str) -> Root | None:
        """The root that a key is of; None for any other key."""
        found = self._roots.get(access_key_id)
        if found is None and access_key_id.startswith(credentials.PREFIX):
            self._read()  # its account may be a new one
            found = self._roots.get(access_key_id)
        return found

    def _read(self) -> None:
        pairs = [(self.own, credentials.of(self._state))]
        pairs += [(account, credentials.of(self._state, account)) for account in credentials.accounts(self._state)]
        self._roots = {keys.access_key_id: Root(account, keys) for account, keys in pairs}
