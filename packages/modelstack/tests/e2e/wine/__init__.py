"""Which of three cultivars was this wine made of? An example of a model of one's own, see docs/how-to/own-model.md."""
