"""The ledger of labels in PostgreSQL: each pair counts once, whichever half comes first.

A half is stored, and its transaction ends, before anybody looks for the other one. So of two calls that store the two
halves of a pair at once, at least one sees both. A pair is claimed in the transaction that also counts its losses: it
counts once, whoever finds it, and whoever is killed.

Two transactions that touch the same ids wait for each other at the label's row, in the order of the ids.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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


@dataclass(frozen=True)
class PostgresLedger:
    """`pairs.Ledger` and `pairs.Aside` of one endpoint."""

    database: Database
    endpoint: str

    def answers(self, variant: str, given: Sequence[tuple[str, Answer]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each answer of a variant by its inference id, unless it has one."""
        return self._keep(
            "INSERT INTO answers (endpoint, id, variant, answer) "
            "SELECT :endpoint, id, :variant, answer FROM unnest(:ids::text[], :first::text[]) AS given (id, answer) "
            "ON CONFLICT DO NOTHING RETURNING id",
            [(key, (json.dumps(asdict(answer)),)) for key, answer in given],
            ("first",),
            variant=variant,
        )

    def labels(self, given: Sequence[tuple[str, Given]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each label by its inference id, unless there is one that is of use."""
        found = self._keep(
            "INSERT INTO labels (endpoint, id, label, source) "
            "SELECT :endpoint, * FROM unnest(:ids::text[], :first::text[], :second::text[]) "
            "ON CONFLICT DO NOTHING RETURNING id",
            [(key, (label.label, label.source)) for key, label in given],
            ("first", "second"),
        )
        for place, (entry, new) in enumerate(found):
            if not new and entry.gives_way_to(given[place][1]):
                found[place] = self._replaced(entry, given[place][1])
        return found

    def _keep(
        self, statement: str, given: Sequence[tuple[str, tuple[str, ...]]], columns: Sequence[str], **values: str
    ) -> list[tuple[Entry, bool]]:
        """Keep the first of each id, then read what is known: in two transactions, see above."""
        place_of: dict[str, int] = {}
        for place, (key, _) in enumerate(given):
            place_of.setdefault(key, place)
        ordered = sorted(place_of)
        if not ordered:
            return []
        of_column = zip(*(given[place_of[key]][1] for key in ordered), strict=True)
        new = self.database.run(
            f"keep halves of pairs of {self.endpoint}",
            statement,
            endpoint=self.endpoint,
            ids=[kept(key) for key in ordered],
            **dict(zip(columns, map(list, of_column), strict=True)),
            **values,
        )
        first, known = {told(key) for (key,) in new}, self._read(ordered)
        return [
            (known.get(key, Entry(key)), key in first and place_of[key] == place)
            for place, (key, _) in enumerate(given)
        ]

    def _read(self, ids: Iterable[str]) -> dict[str, Entry]:
        rows = self.database.run(
            f"read pairs of {self.endpoint}",
            "SELECT id, l.label, l.source, a.variant, a.answer, a.state FROM "
            "(SELECT * FROM labels WHERE endpoint = :endpoint AND id = ANY (:ids::text[])) AS l FULL JOIN "
            "(SELECT * FROM answers WHERE endpoint = :endpoint AND id = ANY (:ids::text[])) AS a USING (id)",
            endpoint=self.endpoint,
            ids=[kept(key) for key in ids],
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
        ids = sorted({kept(key) for key in (*batch.rows, *batch.unusable, *batch.unknown)})
        if ids:
            run(
                "SELECT 1 FROM labels WHERE endpoint = :endpoint AND id = ANY (:ids::text[]) ORDER BY id FOR UPDATE",
                endpoint=self.endpoint,
                ids=ids,
            )
        joined = self._mark(run, batch.variant, _JOINED, dict.fromkeys(batch.rows))
        unusable = self._mark(run, batch.variant, _UNUSABLE, batch.unusable)
        if joined or unusable:
            run(
                "UPDATE labels SET waiting = false WHERE endpoint = :endpoint AND id = ANY (:ids::text[]) AND waiting",
                endpoint=self.endpoint,
                ids=[kept(key) for key in (*joined, *unusable)],
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

    def _mark(self, run: Run, variant: str, state: str, wanted: Mapping[str, Given | None]) -> set[str]:
        """Mark the open answers of some ids, where a label is given of those whose label that is; which were."""
        if not wanted:
            return set()
        given = list(wanted.values())
        marked = run(
            "UPDATE answers AS a SET state = :state FROM labels AS l JOIN "
            "unnest(:ids::text[], :labels::text[], :sources::text[]) AS w (id, label, source) "
            "ON l.id = w.id AND (w.label IS NULL OR (l.label = w.label AND l.source = w.source)) "
            "WHERE l.endpoint = :endpoint AND a.endpoint = :endpoint AND a.id = w.id AND a.variant = :variant "
            "AND a.state = :open RETURNING a.id",
            open=_OPEN,
            endpoint=self.endpoint,
            variant=variant,
            state=state,
            ids=[kept(key) for key in wanted],
            labels=[one.label if one else None for one in given],
            sources=[one.source if one else None for one in given],
        )
        return {told(key) for (key,) in marked}

    def _given_up(self, run: Run, ids: Iterable[str]) -> int:
        """Let labels wait no longer that have no answer; how many these are."""
        wanted = [kept(key) for key in ids]
        if not wanted:
            return 0
        return len(
            run(
                "UPDATE labels AS l SET waiting = false WHERE endpoint = :endpoint AND id = ANY (:ids::text[]) "
                "AND waiting AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.endpoint = l.endpoint AND a.id = l.id) "
                "RETURNING 1",
                endpoint=self.endpoint,
                ids=wanted,
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
