"""`modelstack model init`: the files of `model/`, from a fitted estimator and its table."""
