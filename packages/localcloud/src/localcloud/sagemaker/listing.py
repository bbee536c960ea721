"""How are resources listed: filtered, sorted, and a page at a time?"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from localcloud.sagemaker.errors import invalid

Document = dict[str, Any]

# AWS documents 10 as the default for endpoints, and answers the others alike.
_DEFAULT_PAGE = 10


@dataclass(frozen=True)
class Listing:
    """How one List operation reads its request.

    Attributes:
        result: Name of the answer's list.
        name: The document's member that names it; also what `NameContains` and `SortBy=Name` look at.
        summary: Makes an item of the list.
        ascending: The order when the request names none (the registry's is ascending, hosting's descending).
        sort_members: Document member for each `SortBy` besides Name.
        equals: Document member for each filter that must be equal, e.g. `StatusEquals`.
    """

    result: str
    name: str
    summary: Callable[[Document], Document]
    ascending: bool = False
    sort_members: dict[str, str] = field(default_factory=lambda: {"CreationTime": "CreationTime"})
    equals: dict[str, str] = field(default_factory=dict)

    def page(self, documents: Iterable[Document], request: Document) -> Document:
        """The page that a request asks for.

        Raises:
            ApiError: A ValidationException when the NextToken is not one of this listing's.
        """
        found = [document for document in documents if self._wanted(document, request)]
        descending = request.get("SortOrder", "Ascending" if self.ascending else "Descending") == "Descending"
        member = self.sort_members.get(request.get("SortBy", "CreationTime"), self.name)
        found.sort(key=lambda document: (document[member], document[self.name]), reverse=descending)
        query = fingerprint({k: v for k, v in request.items() if k not in {"NextToken", "MaxResults"}})
        if "NextToken" in request:
            last = read_token(request["NextToken"], query)
            found = [d for d in found if _after([d[member], d[self.name]], last, descending)]
        size = request.get("MaxResults", _DEFAULT_PAGE)
        answer: Document = {self.result: [self.summary(document) for document in found[:size]]}
        if len(found) > size:
            answer["NextToken"] = write_token([found[size - 1][member], found[size - 1][self.name]], query)
        return answer

    def _wanted(self, document: Document, request: Document) -> bool:
        # AWS does not say whether the bounds themselves belong; "after" and "before" are taken at their word.
        return (
            request.get("NameContains", "").lower() in str(document[self.name]).lower()
            and document["CreationTime"] > request.get("CreationTimeAfter", float("-inf"))
            and document["CreationTime"] < request.get("CreationTimeBefore", float("inf"))
            and document.get("LastModifiedTime", 0) > request.get("LastModifiedTimeAfter", float("-inf"))
            and document.get("LastModifiedTime", 0) < request.get("LastModifiedTimeBefore", float("inf"))
            and all(document.get(member) == request[name] for name, member in self.equals.items() if name in request)
        )


def with_usual_times(request: Document) -> Document:
    """The request of a list that names the bounds of CreationTime otherwise (`CreatedAfter`), as `Listing` reads it."""
    names = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    return {names.get(name, name): value for name, value in request.items()}


def _after(key: list[Any], last: list[Any], descending: bool) -> bool:
    return key < last if descending else key > last


def fingerprint(query: Document) -> str:
    """What tells a query apart from others: a NextToken holds good for the one that it was made for."""
    return hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]


def write_token(last: Any, query: str) -> str:
    """A NextToken that says where the page of a query has ended."""
    return base64.urlsafe_b64encode(json.dumps([query, last]).encode()).decode()


def read_token(token: str, query: str) -> Any:
    """Where the page before has ended.

    Raises:
        ApiError: A ValidationException: the token is none, or was made for another query.
    """
    try:
        made_for, last = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise invalid("Invalid pagination token.") from error
    if made_for != query:
        raise invalid("Invalid pagination token: the filters or the order differ from those it was made for.")
    return last
