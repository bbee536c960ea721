"""Which version gave a prediction, and where did that version come from? From an id to data, commit and person.

`chosen` says which prediction an id means, `chain` makes the chain of what is known of it; both are pure. `read` asks a
stack for that, and `told` shows it as text.
"""
