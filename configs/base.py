"""Defaults of every experiment; the other configs change what they must.

Everything that decides a number is here, and is written beside the result as `config.json`.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "base"
    config.seed = 0

    config.data = ConfigDict()
    config.data.name = ""  # a data set of a2inet_jax.datasets
    config.data.folder = "data"

    config.splits = ConfigDict()
    config.splits.number = 10
    config.splits.test = 0.2  # share of the contents
    config.splits.validation = 0.2  # share of the contents that are left for training

    config.features = ConfigDict()
    config.features.quality = "resnet34_unique"
    config.features.semantic = "resnet50_imagenet"
    # Paths of published checkpoints; "" takes the weights that `a2inet weights get` has fetched.
    config.features.quality_weights = ""
    config.features.semantic_weights = ""
    # FR, full resolution, is 0 in these three; PR, preprocessed, is 128, 540 and 4.
    config.features.frames = 0  # of a video, at equal intervals; 0: every one
    config.features.short_side = 0  # of the semantic stream's frames, pixels; 0: as they are
    config.features.patches = 0  # of the quality stream's frames; 0: the frames whole
    config.features.patch_size = 768
    config.features.dtype = "float32"  # of the backbones' computation
    config.features.chunk = 8  # frames on the device at a time
    config.features.timeout = 120.0  # seconds that decoding a chunk may take

    config.model = ConfigDict()
    config.model.width = 1024
    config.model.norm_axis = "time"
    config.model.reduction = 4
    config.model.kernel = 3
    config.model.neck = 128
    config.model.hidden = 32
    config.model.tau = 12
    config.model.beta = 0.5
    config.model.dtype = "float32"

    config.train = ConfigDict()
    config.train.learning_rate = 2e-5
    config.train.weight_decay = 0.0
    config.train.schedule = "constant"  # or "cosine"
    config.train.warmup = 0.0  # share of the steps
    config.train.batch_size = 8
    config.train.epochs = 40
    config.train.rank_weight = 1.0  # η of the loss
    config.train.epoch_rule = "best_val"  # which epoch is reported: last | best_val | best_test
    config.train.parallel = "jit"  # one device; "pmap" splits the batch over the local devices
    config.train.checkpoint_every = 10  # epochs

    config.baselines = ("concat", "vsfa", "svr")
    return config
