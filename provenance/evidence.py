"""All that goes with a package: the documents, and the two signatures that prove them and the archive.

    evidence = sign(facts, signer)
    for name, content in evidence.files().items(): ...          # beside the archive
    facts = Evidence.of(files).verify("sha256:...", public_key)    # before anything of the archive is parsed

The model signature names the archive. The signed provenance names the archive, and every document by its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provenance import bom, card, signature, statement
from provenance.envelope import SignatureError, Signer, enclose, opened
from provenance.facts import Facts, FactsError
from provenance.statement import StatementError

FACTS, BOM, CARD, SAGEMAKER_CARD = "facts.json", "bom.cdx.json", "card.md", "card.sagemaker.json"
MODEL, PROVENANCE = "model.sig", "provenance.sigstore.json"
SIGNATURES = (MODEL, PROVENANCE)


@dataclass(frozen=True)
class Evidence:
    """What is said of a package, and the signatures.

    Attributes:
        documents: Name -> bytes.
        model: The bundle with the OpenSSF model signature.
        provenance: The bundle with the in-toto statement.
    """

    documents: Mapping[str, bytes]
    model: bytes
    provenance: bytes

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Evidence:
        """Sort files by what they are.

        Raises:
            SignatureError: A signature is missing.
        """
        if missing := [name for name in SIGNATURES if name not in files]:
            raise SignatureError(f"the package is not signed: found no {' and no '.join(missing)}")
        documents = {name: content for name, content in files.items() if name not in SIGNATURES}
        return cls(documents, files[MODEL], files[PROVENANCE])

    def files(self) -> dict[str, bytes]:
        """Name -> bytes of every file."""
        return {**self.documents, MODEL: self.model, PROVENANCE: self.provenance}

    def verify(self, package_digest: str, public_key: bytes) -> Facts:
        """Return the facts, if all of it is about one package and signed with one key.

        Nothing is parsed before its signature, or its digest in what was signed, was checked.

        Args:
            package_digest: `sha256:<hex>` of the archive's bytes, as they were read.
            public_key: The key that is trusted, PEM.

        Raises:
            SignatureError: It is something else than was signed; the message says what.
        """
        try:
            signed = signature.signed_digest(opened(self.model, public_key))
            told = opened(self.provenance, public_key)
            about, expected = statement.package_of(told), statement.documents_of(told)
        except StatementError as error:
            raise SignatureError(str(error)) from None
        for what, digest in (("model signature", signed), ("provenance", about)):
            if digest != package_digest:
                raise SignatureError(f"the {what} is of {digest}, the archive is {package_digest}")
        found = {name: hashlib.sha256(content).hexdigest() for name, content in self.documents.items()}
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                raise SignatureError(
                    f"{name} has sha256 {found.get(name, 'nothing')}, the signed provenance says "
                    f"{expected.get(name, 'no such file')}"
                )
        return self._facts(package_digest)

    def signed_again(self, public_key: bytes, signer: Signer) -> Evidence:
        """The same documents and statements, signed by another signer.

        Args:
            public_key: The key that has signed them, PEM; they were verified with it.
            signer: Who signs them now.
        """
        model, provenance = (enclose(opened(one, public_key), signer) for one in (self.model, self.provenance))
        return Evidence(self.documents, model, provenance)

    def _facts(self, package_digest: str) -> Facts:
        try:
            facts = Facts.from_json(self.documents[FACTS])
        except KeyError:
            raise SignatureError(f"the signed provenance names no {FACTS}") from None
        except FactsError as error:
            raise SignatureError(f"{FACTS}: {error}") from None
        if facts.package.digest != package_digest:
            raise SignatureError(f"{FACTS} is of {facts.package.digest}, the archive is {package_digest}")
        return facts


def documents(facts: Facts) -> dict[str, bytes]:
    """Every document that is made of the facts, themselves included: the same facts, the same bytes."""
    return {
        FACTS: facts.to_json(),
        BOM: bom.bom(facts),
        CARD: card.markdown(facts),
        SAGEMAKER_CARD: card.sagemaker(facts),
    }


def sign(facts: Facts, signer: Signer) -> Evidence:
    """Make the documents, and sign them and the archive."""
    made = documents(facts)
    model = enclose(signature.statement(facts.package.digest), signer)
    return Evidence(made, model, enclose(statement.statement(facts, made), signer))


def verify_file(archive: Path, files: Mapping[str, bytes], public_key: bytes) -> Facts:
    """Verify an archive on disk, which is read once and not parsed.

    Raises:
        SignatureError: See `Evidence.verify`.
    """
    with archive.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return Evidence.of(files).verify(digest, public_key)
