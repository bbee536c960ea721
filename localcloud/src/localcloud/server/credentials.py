"""Root's keys of one cloud: random, in a file of its state folder that only its owner reads. Standard library only."""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
import secrets
import string
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localcloud.server.files import private

FAULTS = "faults"
"""Purpose of the token that lets somebody see and change faults."""

_LETTERS = string.ascii_uppercase + "234567"


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
    """The file of the keys is there, and cannot be used; the text names it."""


def path_of(state: Path) -> Path:
    """Where the keys of the cloud of a state folder lie; `AWS_SHARED_CREDENTIALS_FILE` may name it."""
    return state / "credentials"


def of(state: Path) -> Credentials:
    """Root's keys of the cloud of a state folder; made when there are none yet, also before the cloud first starts.

    Raises:
        CredentialsUnusable: The file holds no keys.
        OSError: It cannot be written or read.
    """
    path = path_of(state)
    if not path.exists():
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
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    identity = "AKIALOCALCLOUD" + "".join(secrets.choice(_LETTERS) for _ in range(6))
    lines = ["[default]", f"aws_access_key_id = {identity}", f"aws_secret_access_key = {secrets.token_urlsafe(30)}", ""]
    temporary = path.with_name(f".credentials-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "x", encoding="ascii", opener=private) as file:
            file.write("\n".join(lines))
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
