"""Root's keys of one cloud's accounts: random, in files of its state folder that only its owner reads.

Standard library only.
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
import re
import secrets
import string
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localcloud.server.files import private

FAULTS = "faults"
"""Purpose of the token that lets somebody see and change faults."""

PREFIX = "AKIALOCALCLOUD"
"""How the id of each root's key begins."""

FOLDER = "accounts"
"""Folder of the state that has one for each account beside the cloud's own."""

_LETTERS = string.ascii_uppercase + "234567"
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True)
class Credentials:
    """A pair of keys.

    Attributes:
        access_key_id: Is no secret.
        secret_access_key: Signs requests.
    """

    access_key_id: str
    secret_access_key: str

    def environment(self) -> dict[str, str]:
        """The variables by which AWS's tools take them."""
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}

    def token(self, purpose: str) -> str:
        """64 hex digits that only who has the secret can make, one for each purpose."""
        return hmac.new(self.secret_access_key.encode(), purpose.encode(), hashlib.sha256).hexdigest()


class CredentialsUnusable(OSError):
    """The keys cannot be had: the file holds none, or no account has such a name; the text says which."""


def folder_of(state: Path, account: str | None = None) -> Path:
    """Where an account's own files lie; None is the cloud's own account.

    Raises:
        CredentialsUnusable: The name is not 12 digits.
    """
    if account is None:
        return state
    if not _ACCOUNT.fullmatch(account):
        raise CredentialsUnusable(f"account is {account!r}, expected 12 digits")
    return state / FOLDER / account


def accounts(state: Path) -> list[str]:
    """The accounts that have a folder, so were made on request, in order."""
    folder = state / FOLDER
    found = [path.name for path in folder.iterdir() if _ACCOUNT.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found)


def path_of(state: Path, account: str | None = None) -> Path:
    """Where the keys of an account's root lie; `AWS_SHARED_CREDENTIALS_FILE` may name it."""
    return folder_of(state, account) / "credentials"


def of(state: Path, account: str | None = None) -> Credentials:
    """Keys of an account's root; made when there are none yet, also before the cloud first starts.

    Args:
        state: The cloud's state folder.
        account: 12 digits; None is the cloud's own account. One that is not there is made by making its keys.

    Raises:
        CredentialsUnusable: The file holds no keys, or the account is not 12 digits.
        OSError: The file cannot be written or read.
    """
    path = path_of(state, account)
    if not path.exists():
        for folder in (state, *((state / FOLDER, path.parent) if account else ())):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
    path.chmod(0o600)  # also after a copy of the folder
    found = configparser.ConfigParser(interpolation=None)
    try:
        found.read_string(path.read_text(encoding="ascii"))
        section = found["default"]
        return Credentials(section["aws_access_key_id"], section["aws_secret_access_key"])
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise CredentialsUnusable(
            f"{path} holds no keys ({error}); stop the local cloud, and remove the file to have new ones made"
        ) from error


def _make(path: Path) -> None:
    """Write new keys, as AWS's shared credentials file has them, unless somebody else was first."""
    identity = PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(6))
    lines = ["[default]", f"aws_access_key_id = {identity}", f"aws_secret_access_key = {secrets.token_urlsafe(30)}", ""]
    temporary = path.with_name(f".credentials-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "x", encoding="ascii", opener=private) as file:
            file.write("\n".join(lines))
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
