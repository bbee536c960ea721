"""A small model of sixty days whose concept changes on day thirty, for retraining."""
