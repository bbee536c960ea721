"""Documents in PostgreSQL: rows of one table, by endpoint and key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelstack.platforms.kubernetes.database import Database, Run
from modelstack.platforms.kubernetes.schema import kept, told
from modelstack.services.documents import text
from modelstack.services.ports import Document

_PAGE = 500
_GIVEN = "json_to_recordset(:given::json) AS g (key text, revision bigint, body text, queue text, since float8)"
_THESE = "endpoint = :endpoint AND key = ANY (ARRAY(SELECT json_array_elements_text(:keys::json)))"
_READ = f"SELECT key, body, revision, queue, since FROM documents WHERE {_THESE}"  # noqa: S608  names of our own, here and below
_LOCKED = f"SELECT key, revision FROM documents WHERE {_THESE} ORDER BY key FOR UPDATE"  # noqa: S608
_INSERTED = f"""
INSERT INTO documents (endpoint, key, revision, body, queue, since)
SELECT :endpoint, key, 1, body, queue, since FROM {_GIVEN} ORDER BY key
ON CONFLICT DO NOTHING RETURNING key"""  # noqa: S608
_UPDATED = f"""
UPDATE documents AS d SET revision = d.revision + 1, body = g.body, queue = g.queue, since = g.since, received = now()
FROM {_GIVEN} WHERE d.endpoint = :endpoint AND d.key = g.key"""  # noqa: S608
_DELETED = f"DELETE FROM documents WHERE {_THESE}"  # noqa: S608
_QUEUE = """
SELECT key, body, revision, queue, since FROM documents WHERE endpoint = :endpoint AND queue = :queue AND queue <> ''
AND since <= :before AND (since, key) > (:since, :after) ORDER BY since, key LIMIT :most"""


class _RefusedError(Exception):
    """Another writer was first; rolls the transaction back."""

    def __init__(self, keys: Iterable[str]) -> None:
        super().__init__()
        self.keys = frozenset(map(told, keys))


@dataclass(frozen=True)
class PostgresDocuments:
    """`Documents` of one endpoint."""

    database: Database
    endpoint: str

    def get(self, keys: Iterable[str]) -> Mapping[str, Document]:
        """Read documents."""
        found = {key: Document(key) for key in keys}
        if found:
            names = json.dumps([kept(key) for key in found])
            rows = self.database.run(f"read documents of {self.endpoint}", _READ, endpoint=self.endpoint, keys=names)
            found |= {one.key: one for one in map(_document, rows)}
        return found

    def scan(self, queue: str, before: float) -> Iterator[Document]:
        """The documents of a queue, by pages."""
        since, after = -1.0, ""
        while True:
            rows = self.database.run(
                f"read the queue {queue} of {self.endpoint}",
                _QUEUE,
                endpoint=self.endpoint,
                queue=kept(queue),
                before=before,
                since=since,
                after=after,
                most=_PAGE,
            )
            yield from map(_document, rows)
            if len(rows) < _PAGE:
                return
            after, since = rows[-1][0], rows[-1][4]

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        """Write all documents or none, in one transaction. Rows are locked in the order of their keys."""
        try:
            self.database.together(f"write documents of {self.endpoint}", lambda run: self._write(run, puts, deletes))
        except _RefusedError as error:
            return error.keys
        return frozenset()

    def _write(self, run: Run, puts: Sequence[Document], deletes: Sequence[Document]) -> None:
        new = [one for one in puts if not one.revision]
        old = [replace(one, key=kept(one.key)) for one in puts if one.revision]
        gone = [replace(one, key=kept(one.key)) for one in deletes]
        if old or gone:
            expected = {one.key: one.revision for one in (*old, *gone)}
            there = dict(run(_LOCKED, endpoint=self.endpoint, keys=json.dumps([*expected])))
            if changed := [key for key, revision in expected.items() if there.get(key) != revision]:
                raise _RefusedError(changed)
        if new:
            given = [_row(replace(one, key=kept(one.key))) for one in new]
            stored = run(_INSERTED, endpoint=self.endpoint, given=json.dumps(given))
            if len(stored) < len(new):
                raise _RefusedError({row["key"] for row in given} - {key for (key,) in stored})
        if old:
            run(_UPDATED, endpoint=self.endpoint, given=json.dumps([_row(one) for one in old]))
        if gone:
            run(_DELETED, endpoint=self.endpoint, keys=json.dumps([one.key for one in gone]))


def _row(document: Document) -> dict[str, Any]:
    return {"key": document.key, "body": text(document.body), "queue": kept(document.queue), "since": document.since}


def _document(row: Sequence[Any]) -> Document:
    key, body, revision, queue, since = row
    return Document(told(key), json.loads(body), revision, told(queue), since)
