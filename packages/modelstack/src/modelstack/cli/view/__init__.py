"""The live state of an endpoint, read once and shown as text, pages and JSON."""
