"""Detection models: the catalogue, their verified download, and how each family's outputs become boxes."""
