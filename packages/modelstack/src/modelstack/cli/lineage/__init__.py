"""The lineage of a package, read from stacks and shown as text; `records.lineage` has the graph."""
