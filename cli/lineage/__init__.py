"""Where a package came from, and where it went: from data and commit to every endpoint and person, as one graph.

`graph` is the graph, `chain` makes it of what is known (pure), `read` asks a stack for that. `tree` shows it as text,
`openlineage` as run events; `cli.console.lineage` draws it.
"""
