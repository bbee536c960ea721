"""Names and types of the served resources, as the `pulumi_aws` SDK has them (see `schema_build`)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("schema.json")


class Schema:
    """The content of schema.json."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.sdk: str = document["sdk"]
        self.resources: dict[str, dict[str, Any]] = document["resources"]
        self.types: dict[str, dict[str, Any]] = document["types"]
        self.enums: dict[str, list[str]] = document["enums"]

    def inputs(self, token: str) -> dict[str, str]:
        """Wire name -> type of the inputs of a resource type."""
        return self.resources[token]["inputs"]

    def outputs(self, token: str) -> dict[str, str]:
        """Wire name -> type of the outputs of a resource type."""
        return self.resources[token]["outputs"]

    def nested(self, kind: str) -> dict[str, str]:
        """Wire name -> type of the members of an object type written `#Name`."""
        return self.types[kind.removeprefix("#")]["inputs"]

    def required(self, kind: str) -> list[str]:
        """The members that an object type written `#Name`, or a resource type token, must have."""
        known = self.types[kind.removeprefix("#")] if kind.startswith("#") else self.resources[kind]
        return known["required"]


@cache
def schema() -> Schema:
    """The schema that was built for the installed SDK, read once."""
    return Schema(json.loads(PATH.read_bytes()))
