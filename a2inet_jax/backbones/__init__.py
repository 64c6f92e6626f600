"""Frozen networks that describe a frame: one file each, their weights, and the table of all.

In the order of use: `table` (names, how each is fed), `description` (frames → features or maps), networks of
frames (`resnet`, `efficientnet_lite`, `vit`, `maniqa`) and of clips (`slowfast`, `i3d`, `swin3d`), what these
are made of (`convolution`, `clip_convolution`, `window_attention`, `pooling`), and where parameters come
from: `sources` says where, `weights` brings, keeps and loads them, `conversion` folds them, `checkpoint`
reads published files without their frameworks (`unpickling`, `stand_ins`).
"""
