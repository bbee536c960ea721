"""The ledger of labels in a DynamoDB table.

Items, by their hash key `id`:

    id#<inference id>     a label (`given`), each variant's answer (`answer#<variant>`), or both, and which of the
                          answers were joined with the label (`joined#<variant>`), or could not be
                          (`unusable#<variant>`)
    once#<name>           a file that was read to its end
    batch#<id>            losses and counts that are claimed, and not yet sent or not yet summed up
    standing#<variant>    how a variant stands

One item holds an id's label and all its answers, so whoever writes the last half of a pair sees the other in it, and a
label finds the answers of every variant in one read. Each attribute is written once, by a conditional write; a label
that was of no use to any answer gives way to the next one.

A label without an answer, and a batch, have the attributes `waiting` and `since`, the keys of the sparse index
`waiting`. All items leave by their `expires`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from monitoring.labels.claimed import content, holds
from monitoring.labels.pairs import Answer, Batch, Entry, Given
from monitoring.published import UNKNOWN, UNPARSABLE
from platforms.aws.batches import Batches
from platforms.aws.table import Item, Table

_ACTIONS, _BYTES = 100, 1_000_000
_ANSWER, _JOINED, _UNUSABLE = "answer#", "joined#", "unusable#"


@dataclass(frozen=True)
class DynamoLedger:
    """`pairs.Ledger` in a table.

    Attributes:
        table: The table.
        batches: What is claimed, sent and summed up.
    """

    table: Table
    batches: Batches

    def answers(self, variant: str, given: Sequence[tuple[str, Answer]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each answer of a variant by its inference id, unless it has one."""
        return self._keep(f"{_ANSWER}{variant}", [(key, json.dumps(asdict(answer))) for key, answer in given])

    def labels(self, given: Sequence[tuple[str, Given]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each label by its inference id, unless there is one that is of use."""
        found = self._keep("given", [(key, _text(label)) for key, label in given])
        for place, (entry, kept) in enumerate(found):
            if not kept and entry.gives_way_to(given[place][1]):
                found[place] = self._replaced(entry, given[place][1])
        return found

    def _replaced(self, entry: Entry, given: Given) -> tuple[Entry, bool]:
        """Put a label in the place of one that was of no use, if that is still there; what is known then."""
        marks = {f"#m{number}": f"{_UNUSABLE}{variant}" for number, variant in enumerate(sorted(entry.unusable))}
        joined = {f"#j{number}": f"{_JOINED}{variant}" for number, variant in enumerate(sorted(entry.answers))}
        update = {
            "TableName": self.table.name,
            "Key": {"id": {"S": f"id#{entry.id}"}},
            "UpdateExpression": "SET given = :given, waiting = :waiting, since = :since, expires = :expires "
            f"REMOVE {', '.join(marks)}",
            "ConditionExpression": " AND ".join(
                ["given = :old", *(f"attribute_not_exists({name})" for name in joined)]
            ),
            "ExpressionAttributeNames": {**marks, **joined},
            "ExpressionAttributeValues": {
                ":given": {"S": _text(given)},
                ":old": {"S": _text(cast(Given, entry.given))},
                ":waiting": {"S": "label"},
                ":since": {"N": str(self.table.now())},
                ":expires": self.table.expiry,
            },
        }
        if self.table.transact([{"Update": update}]) is None:
            return replace(entry, given=given, unusable=frozenset()), True
        return entry, False

    def _keep(self, half: str, given: Sequence[tuple[str, str]]) -> list[tuple[Entry, bool]]:
        """Keep the first of each id in transactions of many, then read what is known."""
        first: dict[str, int] = {}
        for position, (key, _) in enumerate(given):
            first.setdefault(key, position)
        kept: set[str] = set()
        for group in _groups([given[position] for position in first.values()]):
            wanted = dict(group)
            while wanted:
                refused = self.table.transact([self._keeping(half, key, value) for key, value in wanted.items()])
                if refused is None:
                    kept.update(wanted)
                    break
                there = set(refused)
                wanted = {key: value for n, (key, value) in enumerate(wanted.items()) if n not in there}
        known = self._read(list(first))
        return [
            (known.get(key, Entry(key)), key in kept and first[key] == position)
            for position, (key, _) in enumerate(given)
        ]

    def _keeping(self, half: str, inference_id: str, value: str) -> dict[str, Any]:
        change, values = "SET #half = :half, expires = :expires", {":half": {"S": value}, ":expires": self.table.expiry}
        if half == "given":
            change += ", waiting = :waiting, since = :since"
            values |= {":waiting": {"S": "label"}, ":since": {"N": str(self.table.now())}}
        else:
            change += ", answered = :answered"
            values |= {":answered": {"N": str(self.table.now())}}
        return {
            "Update": {
                "TableName": self.table.name,
                "Key": {"id": {"S": f"id#{inference_id}"}},
                "UpdateExpression": change,
                "ConditionExpression": "attribute_not_exists(#half)",
                "ExpressionAttributeNames": {"#half": half},
                "ExpressionAttributeValues": values,
            }
        }

    def _read(self, ids: Sequence[str]) -> dict[str, Entry]:
        found = map(_entry, self.table.many([{"id": {"S": f"id#{key}"}} for key in ids]))
        return {entry.id: entry for entry in found}

    def seen(self, once: str) -> bool:
        """Whether a batch with this name was taken."""
        return self.table.get(f"once#{once}") is not None

    def commit(self, batch: Batch) -> None:
        """Claim in one transaction with the batch, then send it. Whatever somebody else claimed is left out."""
        rows, unusable, unknown = dict(batch.rows), dict(batch.unusable), set(batch.unknown)
        while claims := self._claims(batch, rows, unusable, unknown):
            counts = Counter(batch.counts)
            counts[UNKNOWN] += len(unknown)
            counts[UNPARSABLE] += len(unusable)
            body = content(batch, rows, counts)
            item = self.batches.item(body) if holds(body) else None
            put = [{"Put": {"TableName": self.table.name, "Item": item}}] if item else []
            refused = self.table.transact([*(action for _, action in claims), *put])
            if refused is None:
                if item:
                    self.batches.send(item["id"]["S"])
                return
            if batch.once and 0 in refused:
                return
            for position in refused:
                inference_id = claims[position][0]
                rows.pop(inference_id, None)
                unusable.pop(inference_id, None)
                unknown.discard(inference_id)

    def _claims(
        self, batch: Batch, rows: Iterable[str], unusable: Mapping[str, Given], unknown: Iterable[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        claims: list[tuple[str, dict[str, Any]]] = []
        if batch.once:
            item = {"id": {"S": f"once#{batch.once}"}, "expires": self.table.expiry}
            put = {"TableName": self.table.name, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
            claims.append(("", {"Put": put}))
        claims += [(key, self._claim(key, f"{_JOINED}{batch.variant}")) for key in rows]
        same = "attribute_not_exists(#mark) AND given = :given"
        claims += [
            (key, self._claim(key, f"{_UNUSABLE}{batch.variant}", same, {":given": {"S": _text(label)}}))
            for key, label in unusable.items()
        ]
        nothing = "attribute_exists(waiting) AND attribute_not_exists(answered)"
        claims += [(key, self._claim(key, "given_up", nothing)) for key in unknown]
        return claims

    def _claim(
        self,
        inference_id: str,
        mark: str,
        condition: str = "attribute_not_exists(#mark)",
        values: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self.table.name,
                "Key": {"id": {"S": f"id#{inference_id}"}},
                "UpdateExpression": "SET #mark = :now REMOVE waiting, since",
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#mark": mark},
                "ExpressionAttributeValues": {":now": {"N": str(self.table.now())}, **(values or {})},
            }
        }

    def waiting(self, seconds: float) -> Iterator[Entry]:
        """Labels that have waited longer for their answer, oldest first."""
        return (_entry(item) for item in self.table.older("label", seconds))

    def finish(self) -> None:
        """Send what calls that were killed left behind."""
        self.batches.finish()


def entry_of(table: Table, inference_id: str) -> Entry | None:
    """What is known of one inference id; None when nothing is."""
    item = table.get(f"id#{inference_id}")
    return _entry(item) if item else None


def _groups(items: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Items in groups that a transaction takes: of 100 actions and 4 MB."""
    group, size = list[tuple[str, str]](), 0
    for item in items:
        if group and (len(group) == _ACTIONS or size + len(item[1]) > _BYTES):
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item[1])
    if group:
        yield group


def _entry(item: Item) -> Entry:
    given = item.get("given")
    return Entry(
        id=item["id"]["S"].removeprefix("id#"),
        answers={name: Answer(**json.loads(value["S"])) for name, value in _of_variants(item, _ANSWER)},
        given=Given(**json.loads(given["S"])) if given else None,
        joined=frozenset(name for name, _ in _of_variants(item, _JOINED)),
        unusable=frozenset(name for name, _ in _of_variants(item, _UNUSABLE)),
    )


def _text(label: Given) -> str:
    return json.dumps(asdict(label))


def _of_variants(item: Item, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name.removeprefix(prefix), value) for name, value in item.items() if name.startswith(prefix))
