"""Decision trees as the attributes of one ONNX node: `TreeEnsemble` of ai.onnx.ml 5, in double.

A number goes left of a split if it is not above the threshold, as in scikit-learn. A categorical split tests membership
in the categories of the side that missing values do not take, so that missing and unknown values go where scikit-learn
sends them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onnx import TensorProto

from modelstack.pipeline.fast_nodes import tensor

_LEQ, _MEMBER = 0, 6  # nodes_modes: value <= split; value is one of the members


@dataclass(frozen=True)
class Node:
    """A split (numbers up to the threshold go left), or a leaf with a value if `left` is below 0.

    `categories` are the raw values that go left, and all other known ones; None if the split is not categorical.
    """

    feature: int
    threshold: float
    left: int
    right: int
    missing_left: bool
    categories: tuple[list[float], list[float]] | None
    value: float

    @property
    def asked(self) -> list[float]:
        """The values of a categorical split on the side that missing and unknown ones do not take."""
        to_left, to_right = self.categories or ([], [])
        return to_right if self.missing_left else to_left


def _onward(nodes: list[Node], number: int) -> int:
    """The node itself or, if all values go one way, the first one on that way that separates them.

    Such splits separate missing from known values, in a model that has known values on one side only.
    """
    node = nodes[number]
    while node.left >= 0 and node.categories is not None and not node.asked:
        number = node.left if node.missing_left else node.right
        node = nodes[number]
    return number


@dataclass
class Ensemble:
    """The attributes of a `TreeEnsemble` that adds up its trees, by target."""

    targets: int
    roots: list[int] = field(default_factory=list[int])
    splits: list[tuple[int, float, int, int]] = field(default_factory=list[tuple[int, float, int, int]])
    """For each split: feature, threshold, mode, whether missing values count as true."""
    yes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    no: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """For each split: the index of the next node, and whether it is a leaf."""
    leaves: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """For each leaf: target and value."""
    members: list[float] = field(default_factory=list[float])

    def add(self, nodes: list[Node], target: int) -> None:
        """Add a tree, whose root is its first node."""
        root, place, inner = _onward(nodes, 0), {}, len(self.splits)
        if nodes[root].left < 0:  # ONNX trees start with a split: both branches are this leaf
            nodes, root = [nodes[root], Node(0, 0.0, 0, 0, False, None, 0.0)], 1
        self.roots.append(inner)
        reached: list[int] = []
        waiting = [root]
        while waiting:
            number = waiting.pop()
            reached.append(number)
            if nodes[number].left < 0:
                place[number] = (len(self.leaves), 1)
                self.leaves.append((target, nodes[number].value))
            else:
                place[number] = (inner, 0)
                inner += 1
                waiting += dict.fromkeys(_onward(nodes, way) for way in (nodes[number].right, nodes[number].left))
        for node in (nodes[number] for number in reached):
            if node.left >= 0:
                self._split(node, *(place[_onward(nodes, way)] for way in (node.left, node.right)))

    def _split(self, node: Node, left: tuple[int, int], right: tuple[int, int]) -> None:
        if node.categories is None:
            self.splits.append((node.feature, node.threshold, _LEQ, int(node.missing_left)))
        else:
            self.splits.append((node.feature, 0.0, _MEMBER, 0))
            self.members += [*sorted(node.asked), float("nan")]  # NaN ends a list
            left, right = (right, left) if node.missing_left else (left, right)
        self.yes.append(left)
        self.no.append(right)

    @property
    def attributes(self) -> dict[str, Any]:
        """As ONNX names them."""
        doubles, modes = TensorProto.DOUBLE, [mode for _, _, mode, _ in self.splits]
        found: dict[str, Any] = {
            "n_targets": self.targets,
            "aggregate_function": 1,  # the sum
            "post_transform": 0,
            "tree_roots": self.roots,
            "nodes_featureids": [feature for feature, *_ in self.splits],
            "nodes_splits": tensor(doubles, [threshold for _, threshold, *_ in self.splits]),
            "nodes_modes": tensor(TensorProto.UINT8, modes),
            "nodes_missing_value_tracks_true": [missing for *_, missing in self.splits],
            "nodes_truenodeids": [place for place, _ in self.yes],
            "nodes_trueleafs": [leaf for _, leaf in self.yes],
            "nodes_falsenodeids": [place for place, _ in self.no],
            "nodes_falseleafs": [leaf for _, leaf in self.no],
            "leaf_targetids": [target for target, _ in self.leaves],
            "leaf_weights": tensor(doubles, [value for _, value in self.leaves]),
        }
        return {**found, "membership_values": tensor(doubles, self.members)} if self.members else found
