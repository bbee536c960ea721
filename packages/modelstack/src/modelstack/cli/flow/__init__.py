"""How a pipeline is drawn, as text and as a picture."""
