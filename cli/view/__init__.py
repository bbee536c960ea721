"""What a person sees: what is live, read once and shown as text, pages and JSON."""
