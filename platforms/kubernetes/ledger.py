"""The ledger of labels in PostgreSQL: each pair counts once, whichever half comes first.

A half is stored, and its transaction ends, before anybody looks for the other one. So of two calls that store the two
halves of a pair at once, at least one sees both. A pair is claimed in the transaction that also counts its losses: it
counts once, whoever finds it, and whoever is killed.

Two transactions that touch the same ids wait for each other at the label's row, in the order of the ids.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from monitoring.labels.claimed import SQUARES, content, holds, losses_of
from monitoring.labels.pairs import Answer, Batch, Entry, Given
from monitoring.published import UNKNOWN, UNPARSABLE
from platforms.kubernetes.captures import put_aside
from platforms.kubernetes.database import Database, Run
from platforms.kubernetes.measured import Series, add, counter
from platforms.kubernetes.schema import kept, told
from rollout.core.catalogue import INVALID

_OPEN, _JOINED, _UNUSABLE = "open", "joined", "unusable"
_WAITING = 1000  # labels that are looked at by one call
_OF_THESE = "endpoint = :endpoint AND id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))"
_READ = f"""
SELECT id, l.label, l.source, a.variant, a.answer, a.state FROM (SELECT * FROM labels WHERE {_OF_THESE}) AS l
FULL JOIN (SELECT * FROM answers WHERE {_OF_THESE}) AS a USING (id)"""  # noqa: S608  names of our own, here and below
_LOCKED = f"SELECT id, label, source FROM labels WHERE {_OF_THESE} ORDER BY id FOR UPDATE"  # noqa: S608
_MARKED = f"""
UPDATE answers SET state = :state WHERE {_OF_THESE} AND variant = :variant AND state = :open RETURNING id"""  # noqa: S608
_SERVED = f"UPDATE labels SET waiting = false WHERE {_OF_THESE}"  # noqa: S608
_GIVEN_UP = f"""
UPDATE labels AS l SET waiting = false WHERE {_OF_THESE} AND waiting
AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.endpoint = l.endpoint AND a.id = l.id) RETURNING 1"""  # noqa: S608


@dataclass(frozen=True)
class PostgresLedger:
    """`pairs.Ledger` and `pairs.Aside` of one endpoint."""

    database: Database
    endpoint: str

    def answers(self, variant: str, given: Sequence[tuple[str, Answer]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each answer of a variant by its inference id, unless it has one."""
        return self._keep(
            "INSERT INTO answers (endpoint, id, variant, answer) SELECT :endpoint, id, :variant, answer "
            "FROM json_to_recordset(:given::json) AS given (id text, answer text) ON CONFLICT DO NOTHING RETURNING id",
            [(key, {"answer": json.dumps(vars(answer))}) for key, answer in given],
            variant=variant,
        )

    def labels(self, given: Sequence[tuple[str, Given]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each label by its inference id, unless there is one that is of use."""
        found = self._keep(
            "INSERT INTO labels (endpoint, id, label, source) SELECT :endpoint, id, label, source "
            "FROM json_to_recordset(:given::json) AS given (id text, label text, source text) "
            "ON CONFLICT DO NOTHING RETURNING id",
            [(key, vars(label)) for key, label in given],
        )
        for place, (entry, new) in enumerate(found):
            if not new and entry.gives_way_to(given[place][1]):
                found[place] = self._replaced(entry, given[place][1])
        return found

    def _keep(
        self, statement: str, given: Sequence[tuple[str, Mapping[str, str]]], **values: str
    ) -> list[tuple[Entry, bool]]:
        """Keep the first of each id, then read what is known: in two transactions, see above."""
        place_of: dict[str, int] = {}
        for place, (key, _) in enumerate(given):
            place_of.setdefault(key, place)
        ordered = sorted(place_of)
        if not ordered:
            return []
        new = self.database.run(
            f"keep halves of pairs of {self.endpoint}",
            statement,
            endpoint=self.endpoint,
            given=json.dumps([{"id": kept(key), **given[place_of[key]][1]} for key in ordered]),
            **values,
        )
        first, known = {told(key) for (key,) in new}, self._read(ordered)
        return [
            (known.get(key, Entry(key)), key in first and place_of[key] == place)
            for place, (key, _) in enumerate(given)
        ]

    def entry(self, inference_id: str) -> Entry | None:
        """What is known of one inference id; None when nothing is."""
        return self._read([inference_id]).get(inference_id)

    def _read(self, ids: Iterable[str]) -> dict[str, Entry]:
        rows = self.database.run(
            f"read pairs of {self.endpoint}",
            _READ,
            endpoint=self.endpoint,
            ids=_ids(ids),
        )
        by_id: dict[str, list[list[Any]]] = {}
        for row in rows:
            by_id.setdefault(told(row[0]), []).append(row[1:])
        return {key: _entry(key, found) for key, found in by_id.items()}

    def _replaced(self, entry: Entry, given: Given) -> tuple[Entry, bool]:
        """Put a label in the place of one that was of no use, if that is still there; what is known then."""
        old = cast(Given, entry.given)

        def change(run: Run) -> bool:
            of = {"endpoint": self.endpoint, "id": kept(entry.id)}
            there = run("SELECT label, source FROM labels WHERE endpoint = :endpoint AND id = :id FOR UPDATE", **of)
            joined = run(
                "SELECT 1 FROM answers WHERE endpoint = :endpoint AND id = :id AND state = :state", state=_JOINED, **of
            )
            if there != [[old.label, old.source]] or joined:
                return False
            run(
                "UPDATE labels SET label = :label, source = :source, waiting = true, received = now() "
                "WHERE endpoint = :endpoint AND id = :id",
                label=given.label,
                source=given.source,
                **of,
            )
            run("UPDATE answers SET state = :state WHERE endpoint = :endpoint AND id = :id", state=_OPEN, **of)
            return True

        if self.database.together(f"replace a label of {self.endpoint}", change):
            return replace(entry, given=given, unusable=frozenset()), True
        return entry, False

    def seen(self, once: str) -> bool:
        """Whether a batch with this name was taken."""
        statement = "SELECT 1 FROM taken WHERE endpoint = :endpoint AND once = :once"
        return bool(self.database.run(f"look for {once[:80]}", statement, endpoint=self.endpoint, once=kept(once)))

    def commit(self, batch: Batch) -> None:
        """Claim what nobody claimed, and count it, in one transaction."""
        self.database.together(f"count labels of {self.endpoint}", lambda run: self._claimed(run, batch))

    def _claimed(self, run: Run, batch: Batch) -> None:
        if batch.once and not run(
            "INSERT INTO taken (endpoint, once) VALUES (:endpoint, :once) ON CONFLICT DO NOTHING RETURNING 1",
            endpoint=self.endpoint,
            once=kept(batch.once),
        ):
            return
        touched = {*batch.rows, *batch.unusable, *batch.unknown}
        there = {
            told(key): Given(label, source)
            for key, label, source in run(
                _LOCKED,
                endpoint=self.endpoint,
                ids=_ids(touched),
            )
        }
        joined = self._mark(run, batch.variant, _JOINED, batch.rows)
        same = [key for key, label in batch.unusable.items() if there.get(key) == label]
        unusable = self._mark(run, batch.variant, _UNUSABLE, same)
        if joined or unusable:
            run(
                _SERVED,
                endpoint=self.endpoint,
                ids=_ids((*joined, *unusable)),
            )
        counts = Counter(batch.counts)
        counts[UNPARSABLE] += len(unusable)
        counts[UNKNOWN] += self._given_up(run, batch.unknown)
        body = content(batch, {key: batch.rows[key] for key in batch.rows if key in joined}, counts)
        if not holds(body):
            return
        add(run, self.endpoint, counted(body))
        if body["rows"] or body["answered"]:
            run(
                "INSERT INTO joined_batches (endpoint, variant, content) VALUES (:endpoint, :variant, :content)",
                endpoint=self.endpoint,
                variant=batch.variant,
                content=json.dumps(body),
            )

    def _mark(self, run: Run, variant: str, state: str, ids: Collection[str]) -> set[str]:
        """Mark the open answers of some ids; which they were."""
        if not ids:
            return set()
        marked = run(
            _MARKED,
            endpoint=self.endpoint,
            variant=variant,
            state=state,
            open=_OPEN,
            ids=_ids(ids),
        )
        return {told(key) for (key,) in marked}

    def _given_up(self, run: Run, ids: Collection[str]) -> int:
        """Let labels wait no longer that have no answer; how many these are."""
        if not ids:
            return 0
        return len(
            run(
                _GIVEN_UP,
                endpoint=self.endpoint,
                ids=_ids(ids),
            )
        )

    def waiting(self, seconds: float) -> Iterator[Entry]:
        """Labels that have waited longer for their answer, oldest first; some of them, when there are many."""
        rows = self.database.run(
            f"look for labels of {self.endpoint} that wait",
            "SELECT id FROM labels WHERE endpoint = :endpoint AND waiting "
            "AND received <= now() - make_interval(secs => :seconds) ORDER BY received LIMIT :most",
            endpoint=self.endpoint,
            seconds=float(seconds),
            most=_WAITING,
        )
        ids = [told(key) for (key,) in rows]
        known = self._read(ids) if ids else {}
        return (known[key] for key in ids if key in known)

    def finish(self) -> None:
        """Nothing is left behind: what is claimed is counted."""

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Keep rejected lines aside."""
        self.database.together(
            f"keep rejected labels of {self.endpoint}", lambda run: put_aside(run, self.endpoint, "labels", name, lines)
        )


def _ids(ids: Iterable[str]) -> str:
    """What `_OF_THESE` takes: one text of JSON, as arrays are slow to send."""
    return json.dumps([kept(key) for key in ids])


def counted(body: Mapping[str, Any]) -> dict[Series, float]:
    """What a batch adds to the counters."""
    found = defaultdict[Series, float](float)
    for (name, variant, trial), values in losses_of(body).items():
        of = {"variant": variant, "rollout": trial}
        found[counter(name, "sum", **of)] += sum(values)
        if name not in SQUARES:
            found[counter(name, "count", **of)] += len(values)
    for item in body["checked"]:
        of = {"variant": item["variant"], "rollout": item["trial"] or ""}
        found[counter(INVALID, "sum", **of)] += item["invalid"] * item["answers"]
        found[counter(INVALID, "count", **of)] += item["answers"]
    for name, count in body["counts"].items():
        found[counter(name)] += count
    return dict(found)


def _entry(key: str, rows: Sequence[Sequence[Any]]) -> Entry:
    label, source = rows[0][:2]
    states = {variant: state for _, _, variant, _, state in rows if variant is not None}
    return Entry(
        key,
        {variant: Answer(**json.loads(answer)) for _, _, variant, answer, _ in rows if variant is not None},
        None if label is None else Given(label, source),
        frozenset(variant for variant, state in states.items() if state == _JOINED),
        frozenset(variant for variant, state in states.items() if state == _UNUSABLE),
    )
