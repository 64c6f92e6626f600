"""Frozen networks that extract features from frames: the registry, one file per network, and weights.

- `registry` lists the backbones and how each is fed; `frame_features` turns frames into features or maps.
- Networks of single frames are `resnet`, `efficientnet_lite`, `vit` and `maniqa`; networks of clips are
  `slowfast`, `i3d` and `swin3d`. They share `conv2d`, `conv3d` and `window_attention`.
- `pretrained` lists the published weights; `weights` fetches, keeps and loads them; `convert` maps published
  tensors to parameters; `torch_files` reads published files without their frameworks, pickles by
  `unpickling`.
"""
