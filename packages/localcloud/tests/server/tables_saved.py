"""Run by the local cloud's Python: how many rows each save of DynamoDB's tables writes, as JSON.

After each save a new reader must find all that ministack holds.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ.update(PERSIST_STATE="1", STATE_DIR=tempfile.mkdtemp())

from ministack.core import persistence
from ministack.services import dynamodb

from localcloud.server.statefiles import NotSaved
from localcloud.server.tables import TablesFile

FOLDER = Path(tempfile.mkdtemp())
counts: dict[str, int] = {}


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


def plain(state: object) -> object:
    return json.loads(json.dumps(state, default=persistence._json_default))


def save(what: str) -> None:
    """Save as the local cloud does, and count the rows that were written or removed."""
    before = file._open().total_changes
    file.write(file.take())
    counts[what] = file._open().total_changes - before
    reader = TablesFile(FOLDER)
    found = reader.load(persistence._json_object_hook)
    reader.close()
    assert plain(found) == plain(dynamodb.get_state()), what


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


def fail_to_save(what: str) -> None:
    """A save that the disk refuses; the next one must make up for it."""
    connection = file._open()
    connection.execute("pragma query_only = on")
    try:
        file.write(file.take())
        raise AssertionError(f"{what}: it was saved")
    except NotSaved:
        connection.execute("pragma query_only = off")


file = TablesFile(FOLDER)
file.watch()

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
do("_put_item", TableName="one", Item={**item(7, "\0 \u2028"), "bytes": {"B": "AAEC"}})
save("bytes, and a text with a NUL")
do("_put_item", TableName="one", Item=item(8, "y"))
fail_to_save("a full disk")
do("_put_item", TableName="one", Item=item(9, "z"))
save("two, of which one was refused by the disk")
do("_tag_resource", ResourceArn=dynamodb._tables["one"]["TableArn"], Tags=[{"Key": "team", "Value": "models"}])
save("a tag")
do("_create_backup", TableName="two", BackupName="kept")
save("a backup")
do("_put_item", TableName="two", Item={**item(1, "z"), "sort": {"S": "b"}})
save("one put beside a backup")
backup = next(iter(dynamodb._backups))
do("_restore_table_from_backup", TargetTableName="three", BackupArn=backup)
save("a table restored")
do("_delete_table", TableName="one")
table("one", "id")
do("_put_item", TableName="one", Item=item(1))
save("a table of 21 deleted and made again with one")
file.close()

file = TablesFile(FOLDER)
file.watch()
state = file.load(persistence._json_object_hook)
dynamodb.reset()
dynamodb.load_persisted_state(state)
save("nothing after a restart")
do("_put_item", TableName="one", Item=item(2))
save("one put after a restart")
print(json.dumps(counts))
