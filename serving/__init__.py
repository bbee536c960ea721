"""What answers requests? It is given a model, and imports nothing of the other rooms."""
