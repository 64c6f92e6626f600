"""The steps of an experiment, which read its configuration; the other rooms take plain values."""
