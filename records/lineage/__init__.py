"""Where a package came from, and where it went: from data and commit to every endpoint and person, as one graph.

`graph` is the graph. `package` makes it from what is known (pure); `upstream` and `downstream` are its two halves.
Each view reads this graph: `openlineage` as run events, `cli.lineage.tree` as text, `cli.console.lineage` as a picture,
`cli.trace.answer` as the chain of one answer.
"""
