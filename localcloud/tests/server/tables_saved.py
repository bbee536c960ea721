"""Run by the local cloud's Python: what is saved of DynamoDB's tables, and how much of it is encoded anew, as JSON."""

import json
import os
import tempfile
from pathlib import Path

os.environ.update(PERSIST_STATE="1", STATE_DIR=tempfile.mkdtemp())

from ministack.core import persistence
from ministack.services import dynamodb

from localcloud.server import tables
from localcloud.server.durability import Blobs, StateFile

FOLDER = Path(tempfile.mkdtemp())
whole, written = dynamodb.get_state, tables._written
encoded: list[object] = []
counts: dict[str, int] = {}


def counting(key: object, bucket: tables.Bucket) -> str:
    encoded.append(key)
    return written(key, bucket)


def table(name: str, *keys: str) -> None:
    kinds = ("HASH", "RANGE")
    made = dynamodb._create_table(
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, kinds, strict=False)],
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
            "BillingMode": "PAY_PER_REQUEST",
        }
    )
    assert made[0] == 200, made


def do(operation: str, **asked: object) -> None:
    answer = getattr(dynamodb, operation)(asked)
    assert answer[0] == 200, answer


def save(what: str) -> None:
    """Save as the local cloud does; what is on disk must be all that ministack itself would save."""
    encoded.clear()
    file._write(dynamodb.get_state())
    found, expected = json.loads(file.path.read_bytes()), json.dumps(whole(), default=persistence._json_default)
    assert found["payload"] == json.loads(expected), what
    counts[what] = len(encoded)


def item(number: int, text: str = "") -> dict[str, object]:
    return {"id": {"S": f"i{number}"}, "text": {"S": text}, "list": {"L": [{"N": "1"}, {"M": {"a": {"NULL": True}}}]}}


def update(number: int) -> dict[str, object]:
    return {
        "TableName": "one",
        "Key": {"id": {"S": f"i{number}"}},
        "UpdateExpression": "SET #t = :t",
        "ExpressionAttributeNames": {"#t": "text"},
        "ExpressionAttributeValues": {":t": {"S": 'another "text", \0'}},
    }


tables._written = counting
tables.save_items_once()
file = StateFile("dynamodb", FOLDER, Blobs(FOLDER / "blobs"), dynamodb.get_state)

table("one", "id")
table("two", "id", "sort")
save("no item")
for number in range(20):
    do("_put_item", TableName="one", Item=item(number))
for sort in "ab":
    do("_put_item", TableName="two", Item={**item(1), "sort": {"S": sort}})
save("all are new")
save("nothing changed")
do("_put_item", TableName="one", Item=item(3, "x"))
save("one put")
do("_update_item", **update(4))
save("one updated")
do("_transact_write_items", TransactItems=[{"Update": update(5)}, {"Put": {"TableName": "one", "Item": item(50)}}])
save("two in a transaction")
do("_delete_item", TableName="one", Key={"id": {"S": "i6"}})
save("one deleted")
do("_put_item", TableName="two", Item={**item(1, "y"), "sort": {"S": "b"}})
save("one of a partition of two")
do("_put_item", TableName="one", Item={"id": {"S": "i7"}, "bytes": {"B": "AAEC"}})
save("bytes")
do("_delete_table", TableName="one")
save("a table deleted")
print(json.dumps(counts))
