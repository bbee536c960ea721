"""The packed form of documents, and changes of more documents than a transaction takes.

stored = Stored(documents)
stored.read(["label#8f3a", "label#91c0"])
stored.change(["label#8f3a"], lambda document: replace(document, body={"label": True}))    # {"label#8f3a"}
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelstack.services.ports import LARGEST, MOST, TOGETHER, Document, Documents

KEPT_SECONDS = 45 * 86_400
"""How long an unchanged document is stored."""
LASTING = ("drift#", "journal#", "version#", "config#", "live#")
"""Prefixes of keys that are stored for good: no row may be counted again, and no release be forgotten."""


def text(body: Mapping[str, Any]) -> str:
    """A body as JSON in ASCII."""
    return json.dumps(body, separators=(",", ":"))


def packed(body: Mapping[str, Any]) -> bytes:
    """A body as compressed JSON."""
    return zlib.compress(text(body).encode())


def unpacked(content: bytes) -> dict[str, Any]:
    """The inverse of `packed`."""
    return json.loads(zlib.decompress(content))


def check_limits(puts: Sequence[Document], deletes: Sequence[Document]) -> None:
    """Raise `ValueError` if a transaction exceeds a limit of `modelstack.services.ports`; the message names it."""
    keys = [document.key for document in (*puts, *deletes)]
    if len(keys) > MOST:
        raise ValueError(f"got {len(keys)} documents, at most {MOST} are written together")
    if len({*keys}) < len(keys):
        raise ValueError("got a document twice, expected each once")
    sizes = {document.key: len(packed(document.body)) for document in puts}
    for key, size in sizes.items():
        if size > LARGEST:
            raise ValueError(f"document {key}: got {size:,} bytes, at most {LARGEST:,} are stored")
    if sum(sizes.values()) > TOGETHER:
        raise ValueError(f"got {sum(sizes.values()):,} bytes, at most {TOGETHER:,} are written together")


def groups(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in groups that a transaction takes."""
    group, size = list[Document](), 0
    for document in documents:
        bytes_ = len(text(document.body))
        if group and (len(group) == MOST or size + bytes_ > TOGETHER):
            yield group
            group, size = [], 0
        group.append(document)
        size += bytes_
    if group:
        yield group


@dataclass
class Stored:
    """A cache of documents. A write on an older revision is refused, and the document is read again."""

    documents: Documents
    _known: dict[str, Document] = field(default_factory=dict[str, Document])

    def __getitem__(self, key: str) -> Document:
        return self._known[key]

    def read(self, keys: Collection[str], *, again: bool = True) -> None:
        """Read documents; those in the cache only if `again`."""
        unknown = [key for key in keys if again or key not in self._known]
        if unknown:
            self._known.update(self.documents.get(unknown))

    def forget(self) -> None:
        """Empty the cache, which bounds the memory."""
        self._known.clear()

    def change(self, keys: Iterable[str], change: Callable[[Document], Document | None]) -> set[str]:
        """Change cached documents, however many; returns the keys of those that were changed.

        `change` gives the successor of a document, or None to leave it. It is called again if another writer was first.
        """
        pending, changed = list(keys), set[str]()
        while pending:
            puts = [after for key in pending if (after := change(self._known[key])) is not None]
            pending = []
            for group in groups(puts):
                if self.transact(group):
                    pending += [document.key for document in group]
                else:
                    changed.update(document.key for document in group)
        return changed

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        """As `Documents.transact`; refused documents are read again."""
        refused = self.documents.transact(puts, deletes)
        if refused:
            self.read(refused)
        else:
            self._known.update({one.key: replace(one, revision=one.revision + 1) for one in puts})
            for one in deletes:
                self._known.pop(one.key, None)
        return refused
