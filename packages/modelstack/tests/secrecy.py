"""Finds secrets where none may be: in files of every kind, in what archives hold, and in the arguments of processes.

with Watch(environment) as watch:      # what the processes of a story are given and called with
    ...
leaks(folder, watch.secrets, ["cloud/credentials"])  # ["pulumi/.../local.json holds GITHUB_TOKEN"]
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

SECRET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN")
"""Variables whose values nobody may see. (The passphrase of the local stacks is in the repository.)"""
_OWN = "AWS_ENDPOINT_URL"
"""The variable that tells the processes of one story from those of another."""
_EVERY = 0.25  # seconds between two looks at the processes
_LONGEST = 64 * 1024**2  # bytes of a member that is opened
_DEEPEST = 4  # archives in archives


class Watch:
    """Looks at the processes of a story while it goes on.

    Attributes:
        secrets: Every secret that one of them was given -> the variable's name.
        arguments: Every command line that one of them was started with.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Watch the processes whose `AWS_ENDPOINT_URL` is that of an environment."""
        self.secrets = {environment[name]: name for name in SECRET if environment.get(name)}
        self.arguments: set[bytes] = set()
        self._own = f"{_OWN}={environment[_OWN]}".encode()
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look_on, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        """Begin to look."""
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._ended.set()
        self._looking.join()

    def called_with(self) -> list[str]:
        """Secrets that stand in a command line, each once."""
        return sorted({f"a command line holds {name}" for line in self.arguments for name in held(line, self.secrets)})

    def _look_on(self) -> None:
        seen: set[tuple[str, bytes]] = set()
        while not self._ended.wait(_EVERY):
            for folder in Path("/proc").glob("[0-9]*"):
                self._look(folder, seen)

    def _look(self, folder: Path, seen: set[tuple[str, bytes]]) -> None:
        try:
            line = (folder / "cmdline").read_bytes()
            if (folder.name, line) in seen:
                return
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            return
        seen.add((folder.name, line))  # a process that was just forked has its parent's line
        if self._own not in variables:
            return
        self.arguments.add(line)
        for variable in variables:
            name, _, value = variable.decode(errors="replace").partition("=")
            if name in SECRET and value:
                self.secrets[value] = name


def leaks(folder: Path, secrets: Mapping[str, str], allowed: Iterable[str]) -> list[str]:
    """The files below a folder that hold a secret, with its name.

    Args:
        folder: What is looked through.
        secrets: Secret -> its name.
        allowed: Patterns of the files, relative to the folder, that are there to hold them.
    """
    found, secrets = list[str](), dict(secrets)  # as they are now: whoever looks on may find more meanwhile
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(folder).as_posix()
        if any(fnmatch(name, pattern) for pattern in allowed):
            continue
        with suppress(FileNotFoundError):  # a file that the local cloud removes meanwhile
            for inner, content in opened(name, path.read_bytes()):
                found += [f"{inner} holds {secret}" for secret in held(content, secrets)]
    return found


def held(content: bytes, secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets that some bytes hold, as they are or written in a usual way."""
    return sorted({name for secret, name in secrets.items() if any(form in content for form in forms(secret))})


def forms(secret: str) -> set[bytes]:
    """A secret as it is, in hexadecimal, as part of a URL, as JSON, and in base64 behind 0, 1 or 2 bytes."""
    plain = secret.encode()
    shifted = (base64.b64encode(b"\0" * before + plain) for before in range(3))
    # The first and the last letters also depend on the neighbours.
    inside = {text[first:].rstrip(b"=")[:-1] for text, first in zip(shifted, (0, 2, 3), strict=True)}
    written = {plain, plain.hex().encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    return written | inside | {text.replace(b"+", b"-").replace(b"/", b"_") for text in inside}


def opened(name: str, content: bytes, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """A file, and what it holds where it is a gzip, tar or zip; each with its name."""
    yield name, content
    if depth < _DEEPEST:
        for inner, part in _members(content):
            yield from opened(f"{name}/{inner}", part, depth + 1)


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(content)) as file:
                yield "gunzipped", file.read(_LONGEST)
        except (OSError, EOFError, zlib.error):
            return
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if member.isfile() and member.size <= _LONGEST and (file := archive.extractfile(member)):
                    yield member.name, file.read()
    elif content[:4] == b"PK\x03\x04" and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                if member.file_size <= _LONGEST:
                    yield member.filename, archive.read(member)
