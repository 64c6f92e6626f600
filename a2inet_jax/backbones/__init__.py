"""Frozen networks that describe a frame: one file each, their weights, and the table of all.

In the order of use: `table` (names, input normalisation, loading, features of a batch of frames), the
networks (`resnet`, `efficientnet_lite`), `pooling`, and where parameters come from: `checkpoint` reads
published files without PyTorch, `conversion` folds them, `weights` fetches the ones that can be fetched.
"""
