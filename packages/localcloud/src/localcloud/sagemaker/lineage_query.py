"""What led to an entity, and what came of it: QueryLineage.

Sources: Amazon SageMaker API Reference, "QueryLineage" and "QueryFilters"; Developer Guide, "Querying Lineage
Entities".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.lineage_entities import ASSOCIATION, BY_SERVICE
from localcloud.sagemaker.lineage_nodes import Node, node_of
from localcloud.sagemaker.listing import fingerprint, read_token, write_token
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

_DEEPEST, _MOST = 10, 50
_LONGEST_TYPE = 40  # of a Vertex in AWS's own service model; an entity's may have 256
_ENDS: dict[str, tuple[tuple[str, str], ...]] = {
    "Ascendants": (("DestinationArn", "SourceArn"),),
    "Descendants": (("SourceArn", "DestinationArn"),),
    "Both": (("DestinationArn", "SourceArn"), ("SourceArn", "DestinationArn")),
}


class LineageQuery:
    """Walks associations from one entity on; `Both` goes on in both directions from every entity that it meets.

    What AWS does not say: the direction is `Both`, edges are not included, and the page and the depth are the largest
    when a request does not name them. The entity at the start is in the answer when it fits the filters, and with
    edges in any case, as are all on the way to what fits. An edge is on the page of the later one of its entities.
    """

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operation of this part, by name."""
        return {"QueryLineage": self.query}

    async def query(self, request: Request) -> Document:
        """Answer a page of the entities, and the edges if asked for."""
        if not request.get("StartArns"):
            raise invalid("The local SageMaker does not support QueryLineage without one StartArns.")
        depth, size = request.get("MaxDepth", _DEEPEST), request.get("MaxResults", _MOST)
        for name, value, least in (("maxDepth", depth, 0), ("maxResults", size, 1)):
            if value < least:
                raise invalid(
                    f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
                    f"Member must have value greater than or equal to {least}"
                )
        start = request["StartArns"][0]
        if node_of(self._store, self._account, start) is None:
            raise ApiError("ResourceNotFound", f"Lineage entity {start} does not exist.")
        walked = _walk(start, self._store.all(ASSOCIATION), _ENDS[request.get("Direction", "Both")], depth)
        found = [arn for arn in walked.depths if self._fits(arn, request.get("Filters", {}))]
        if not request.get("IncludeEdges"):
            return self._page(found, [], request, size)
        shown = walked.on_the_way(found)
        return self._page(shown, walked.edges(shown), request, size)

    def _fits(self, arn: str, filters: Document) -> bool:
        node, endless = self._node(arn), float("inf")
        return (
            (not filters.get("LineageTypes") or node.lineage_type in filters["LineageTypes"])
            and (not filters.get("Types") or node.type in filters["Types"])
            and filters.get("CreatedAfter", -endless) < node.made < filters.get("CreatedBefore", endless)
            and filters.get("ModifiedAfter", -endless) < node.changed < filters.get("ModifiedBefore", endless)
            and all(node.properties.get(name) == value for name, value in filters.get("Properties", {}).items())
        )

    def _page(self, arns: list[str], edges: list[Document], request: Request, size: int) -> Document:
        asked = {name: value for name, value in request.items() if name not in {"NextToken", "MaxResults"}}
        query = fingerprint(asked)
        begin = read_token(request["NextToken"], query) if "NextToken" in request else 0
        place = {arn: number for number, arn in enumerate(arns)}
        later = [max(place[edge["SourceArn"]], place[edge["DestinationArn"]]) for edge in edges]
        answer: Document = {
            "Vertices": [self._vertex(arn) for arn in arns[begin : begin + size]],
            "Edges": [_edge(one) for one, at in zip(edges, later, strict=True) if begin <= at < begin + size],
        }
        if len(arns) > begin + size:
            answer["NextToken"] = write_token(begin + size, query)
        return answer

    def _vertex(self, arn: str) -> Document:
        node = self._node(arn)
        return {"Arn": arn, "Type": node.type[:_LONGEST_TYPE], "LineageType": node.lineage_type}

    def _node(self, arn: str) -> Node:
        node = node_of(self._store, self._account, arn)
        if node is None:
            raise AssertionError(f"{arn} is associated, and not there")
        return node


@dataclass(frozen=True)
class _Walked:
    """What a walk has met.

    Attributes:
        depths: Every entity, the nearest first -> how many steps it is from the start.
        steps: Every step as entity it came from, entity it led to, and association.
    """

    depths: dict[str, int]
    steps: list[tuple[str, str, Document]]

    def on_the_way(self, wanted: Iterable[str]) -> list[str]:
        """The start, what is wanted, and what lies between."""
        found, back = {next(iter(self.depths))}, list(wanted)
        while back:
            arn = back.pop()
            if arn not in found:
                found.add(arn)
                back += [near for near, far, _ in self.steps if far == arn and self.depths[near] < self.depths[far]]
        return [arn for arn in self.depths if arn in found]

    def edges(self, among: Iterable[str]) -> list[Document]:
        """The associations between some of the entities, the oldest first."""
        kept = set(among)
        found = {id(edge): edge for near, far, edge in self.steps if near in kept and far in kept}
        return sorted(found.values(), key=lambda edge: edge["CreationTime"])


def _walk(start: str, associations: list[Document], ends: Iterable[tuple[str, str]], deepest: int) -> _Walked:
    walked, here = _Walked({start: 0}, []), [start]
    leaving: list[tuple[str, dict[str, list[Document]]]] = []
    for near, far in ends:
        of_each = defaultdict[str, list[Document]](list)
        for edge in associations:
            of_each[edge[near]].append(edge)
        leaving.append((far, of_each))
    for depth in range(1, deepest + 1):
        steps = [(arn, edge[far], edge) for far, of_each in leaving for arn in here for edge in of_each.get(arn, ())]
        walked.steps.extend(steps)
        here = [far for far in dict.fromkeys(far for _, far, _ in steps) if far not in walked.depths]
        walked.depths.update(dict.fromkeys(here, depth))
    return walked


def _edge(association: Document) -> Document:
    return {name: value for name, value in association.items() if name not in {"CreationTime", BY_SERVICE}}
