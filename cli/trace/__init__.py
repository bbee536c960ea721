"""Which version gave a prediction, and where did that version come from? From an id to data, commit and person.

`resolve` finds the prediction that an id means, `answer` makes its chain from what is known; both are pure. `read` asks
a stack for that, and `render` shows it as text.
"""
