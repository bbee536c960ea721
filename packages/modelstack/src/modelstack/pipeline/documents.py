"""The documents of a package in a folder next to its archive, signed with a local key.

A stack's registry stores the same documents, signed with a key of the stack.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from modelstack.pipeline.origin import facts_of
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.recipe import cache_folder
from modelstack.records.provenance.envelope import SignatureError
from modelstack.records.provenance.evidence import sign, verify_file
from modelstack.records.provenance.facts import Facts
from modelstack.records.provenance.key_pair import KeyPair

FOLDER = "provenance"
PUBLIC_KEY = "key.pub"
KEY = "signing-key.pem"


def key_at(path: Path | None) -> KeyPair:
    """The key in a file, or without a file the user's own, which is created at its first use."""
    return KeyPair.made(cache_folder() / KEY) if path is None else KeyPair.read(path)


def write(sealed: SealedPackage, key: KeyPair) -> Path:
    """Write the documents, their signatures and the public key, replacing those of an earlier call."""
    files = {**sign(facts_of(sealed), key).files(), PUBLIC_KEY: key.public_key}
    folder = sealed.path.with_name(FOLDER)
    partial = folder.with_name(FOLDER + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, content in files.items():
        (partial / name).write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def verified(archive: Path, folder: Path, public_key: bytes) -> Facts:
    """The facts of an archive, if it and all documents are files as they were signed with the trusted key."""
    found = [path for path in sorted(folder.iterdir()) if path.name != PUBLIC_KEY]
    for path in (archive, *found):
        if path.exists() and not path.is_file():
            raise SignatureError(f"{path} is no file: expected the archive and its documents, and nothing else")
    files = {path.name: path.read_bytes() for path in found}
    return verify_file(archive, files, public_key)
