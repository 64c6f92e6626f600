"""Defaults of every experiment; the other configs change what they must.

Everything that decides a number is here, and is written beside the result as `config.json`.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "base"
    config.seed = 0

    config.data = ConfigDict()
    config.data.name = ""  # of `a2inet data list`, or a CSV file or folder of your own
    config.data.folder = "data"
    config.data.manual_dir = ""  # where you put a downloaded data set; "": data/manual/NAME
    config.data.allow_missing = False  # go on without videos that are not there

    config.splits = ConfigDict()
    # Drawn by "content"; the data set's "own"; or of a "file" that `a2inet data splits` wrote.
    config.splits.kind = "content"
    config.splits.file = ""
    config.splits.number = 10
    config.splits.test = 0.2  # share of the contents
    config.splits.validation = 0.2  # share of the contents that are left for training
    config.splits.seeds = 1  # trainings of each split, with the seeds that follow config.seed
    config.splits.at_once = 0  # how many trainings are one program; 0: all

    config.features = ConfigDict()
    config.features.quality = "resnet34_unique"
    config.features.semantic = "resnet50_imagenet"
    # Names of `a2inet weights list`, or paths of published checkpoints; "": those of the backbone's name.
    config.features.quality_weights = ""
    config.features.semantic_weights = ""
    # Of the input: none, half, imagenet, kinetics or tensorflow; "": as the network was trained.
    config.features.quality_normalization = ""
    config.features.semantic_normalization = ""
    # FR, full resolution, is 0 in these three; PR, preprocessed, is 128, 540 and 4.
    config.features.frames = 0  # of a video, at equal intervals; 0: every one
    config.features.short_side = 0  # of the semantic stream's frames, pixels; 0: as they are
    config.features.patches = 0  # of the quality stream's frames; 0: the frames whole
    config.features.patch_size = 768
    config.features.clip_spacing = 1  # a clip spans so many times its frames, and takes them evenly
    config.features.dtype = "float32"  # of the backbones' computation
    config.features.chunk = 8  # frames on the device at a time
    config.features.timeout = 120.0  # seconds that decoding a chunk may take
    config.features.decoders = 0  # decoding processes; 0: one for each core
    config.features.memory = 2.0  # GiB of decoded frames that are under way at a time

    config.model = ConfigDict()
    config.model.name = "a2inet"  # or "vsfa": the streams straight into the temporal network
    config.model.streams = ("quality", "semantic")  # that enter the model; vsfa takes one as well
    config.model.width = 1024
    config.model.fusion = "cagi"  # or "concat", "concat_mlp"
    config.model.dropout = 0.5  # of concat_mlp
    # CAGI: "cgin", or deform one stream: "fgin" or "adain", then "_s_to_q" or "_q_to_s".
    config.model.normalization = "cgin"
    config.model.norm_axis = "time"  # or "channel"
    config.model.attention = True
    config.model.catm = True
    config.model.reduction = 4
    config.model.kernel = 3
    config.model.tail = 0  # vsfa: the last features that it takes of a stream; 0: all of them
    config.model.neck = 128
    config.model.hidden = 32
    config.model.pooling = "subjective"  # or "mean"
    config.model.tau = 12
    config.model.beta = 0.5
    config.model.dtype = "float32"

    config.train = ConfigDict()
    config.train.learning_rate = 2e-5
    config.train.weight_decay = 0.0
    config.train.schedule = "constant"  # or "cosine", or "step"
    config.train.step_every = 10  # epochs, of "step"
    config.train.step_factor = 0.5
    config.train.warmup = 0.0  # share of the steps
    config.train.clip_norm = 0.0  # of the gradient; 0: no limit
    config.train.ema = 0.0  # decay of the parameters' moving average; 0: none
    config.train.batch_size = 8
    config.train.epochs = 40
    config.train.rank_weight = 1.0  # η of the loss
    config.train.epoch_rule = "best_val"  # which epoch is reported: last | best_val | best_test
    # How the work is done; see a2inet_jax/training/settings.py.
    config.train.parallel = (
        "jit"  # one device; "pmap", local devices; "mesh", all processes' devices
    )
    config.train.placement = "auto"  # of the features: "resident" on the device, or "streamed"
    config.train.memory_share = 0.5  # of the device, that resident features may take
    config.train.buckets = 4  # lengths that videos are padded to
    config.train.steps_per_call = 100
    config.train.checkpoint_every = 10  # epochs

    config.baselines = ("concat", "vsfa", "svr")
    return config
