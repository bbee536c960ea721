"""The lineage of a package, read from stacks and shown as text; `modelstack.records.lineage` has the graph."""
