"""The steps from model code and data to a sealed, registered package.

    wanted = recipe(root, {"max_iter": 80})                    # what determines the model; no training, milliseconds
    sealed = build(root, wanted, gates={"auc": {"min": 0.6}})

Steps read and write files only, so they run the same way in `pulumi up` and in any pipeline service.
"""
