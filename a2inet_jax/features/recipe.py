"""Everything that decides the numbers in a feature file."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from a2inet_jax.config import Features
from a2inet_jax.video.sampling import Sampling

# The streams of features, each made by one network.
STREAMS = ("quality", "semantic")

# Raise it with every change of the extracted numbers for the same backbones and sampling.
VERSION = 3


@dataclass(frozen=True)
class Recipe:
    """Settings that features were extracted with; features of equal recipes may be used together.

    Attributes:
        quality: Backbone of the quality stream.
        quality_sha256: SHA-256 of its published checkpoint.
        quality_normalization: Normalization of its input.
        semantic: Backbone of the semantic stream.
        semantic_sha256: SHA-256 of its published checkpoint.
        semantic_normalization: Normalization of its input.
        sampling: Frames, sizes and patches.
        dtype: Dtype of the backbones' computation.
        version: Version of the extracting code.
    """

    quality: str
    quality_sha256: str
    quality_normalization: str
    semantic: str
    semantic_sha256: str
    semantic_normalization: str
    sampling: Sampling
    dtype: str = Features.dtype
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as nested plain values."""
        return dataclasses.asdict(self)

    def stream(self, name: str) -> dict[str, Any]:
        """Return the settings that decide the numbers of one of the `STREAMS`.

        Two streams with equal settings have equal features, whatever their names and recipes.
        """
        own = {
            key.removeprefix(f"{name}_"): value
            for key, value in self.as_dict().items()
            if key.startswith(f"{name}_")
        }
        sampling = dataclasses.asdict(self.sampling)
        patches = {key: sampling.pop(key) for key in ("patches", "patch_size")}
        short_side = sampling.pop("short_side")
        if name == "quality":
            sampling |= patches if patches["patches"] else {}
        else:
            sampling |= {"short_side": short_side} if short_side else {}
        rest = {"dtype": self.dtype, "version": self.version}
        return {"backbone": getattr(self, name), **own, **sampling, **rest}

    def networks(self) -> str:
        """Return the names of both networks, for messages."""
        return f"{self.quality} and {self.semantic}"

    def to_json(self) -> str:
        """Return the recipe as JSON; equal recipes give equal text."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Make the recipe that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "sampling": Sampling(**fields["sampling"])})

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that identify the recipe."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def differences(self, other: "Recipe") -> str:
        """List the fields that differ, for messages: `field: ours here, theirs there; …`."""
        ours, theirs = (
            {**fields, **fields.pop("sampling")}
            for fields in (json.loads(self.to_json()), json.loads(other.to_json()))
        )
        return "; ".join(
            f"{k}: {ours[k]} here, {theirs[k]} there" for k in ours if ours[k] != theirs[k]
        )
