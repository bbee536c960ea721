"""How long an update with no changes takes, beside that of an empty program that has the kubernetes provider too."""

from __future__ import annotations

import statistics
from dataclasses import replace

from bench import ROOT
from bench.bed import must
from bench.kubernetes.served import Served
from bench.rows import Row, sized
from bench.updates import unchanged_up
from localcloud.setup import POLICY_PACK
from modelstack.cli.local.cluster import CONTEXT
from modelstack.cli.local.stack import Stack

_REPEATS = 5
_EMPTY = '''"""Declares no object of a cluster, and speaks with one."""

import pulumi_kubernetes

pulumi_kubernetes.Provider("cluster", context="{context}", namespace="{namespace}", cluster_identifier="one")
'''


def rows(served: Served) -> list[Row]:
    """`pulumi up` with no changes over the empty program's: medians of alternating runs without the policy pack."""
    stack = _unjudged(served.stack)
    empty = _unjudged(_empty(served))
    must(empty.up(), "pulumi up of the empty program")
    ours, theirs = [], []
    for _ in range(sized(_REPEATS, 1)):
        ours.append(unchanged_up(stack))
        theirs.append(unchanged_up(empty))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    beside = f"{mine:.2f} s over {peer:.2f} s of an empty program with the kubernetes provider, both without policies"
    return [Row("k8s_noop_up_ratio", round(mine / peer, 2), "ratio", "<= 2", beside)]


def _unjudged(stack: Stack) -> Stack:
    return replace(stack, environment={**stack.environment, POLICY_PACK: ""})


def _empty(served: Served) -> Stack:
    folder = served.place.folder / "empty"
    folder.mkdir()
    virtualenv = f"  options:\n    virtualenv: {ROOT / '.venv'}\n"
    (folder / "Pulumi.yaml").write_text(f"name: empty\nruntime:\n  name: python\n{virtualenv}")
    program = _EMPTY.format(context=CONTEXT, namespace=served.place.api.namespace)
    (folder / "__main__.py").write_text(program)
    # The plugin leaves the kubeconfig that the SDK gave it there.
    stack = Stack("empty", {**served.stack.environment, "TMPDIR": str(folder)}, folder)
    must(stack.pulumi("stack", "init", "empty"), "pulumi stack init of the empty program")
    return stack
