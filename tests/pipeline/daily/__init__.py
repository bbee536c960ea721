"""A small model of sixty days whose concept turns on the thirtieth: what retraining is tested on."""
