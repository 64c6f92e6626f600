"""Everything that decides the numbers of a feature file."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from a2inet_jax.video.sampling import Sampling

STREAMS = ("quality", "semantic")  # of features: a network each

# To be raised by whoever changes what extraction computes from the same backbones and sampling.
VERSION = 3


@dataclass(frozen=True)
class Recipe:
    """How features were made: two features with the same recipe may stand in one data set.

    Attributes:
      quality: backbone of the quality stream.
      quality_sha256: of its published checkpoint.
      quality_normalization: of its input.
      semantic: backbone of the semantic stream.
      semantic_sha256: of its published checkpoint.
      semantic_normalization: of its input.
      sampling: frames, sizes and patches.
      dtype: of the backbones' computation.
      version: of the code that extracts.
    """

    quality: str
    quality_sha256: str
    quality_normalization: str
    semantic: str
    semantic_sha256: str
    semantic_normalization: str
    sampling: Sampling
    dtype: str = "float32"
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values."""
        return dataclasses.asdict(self)

    def stream(self, name: str) -> dict[str, Any]:
        """What decides the numbers of one of the `STREAMS`: equal for equal features."""
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

    def to_json(self) -> str:
        """The recipe as text, the same text for the same recipe."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "sampling": Sampling(**fields["sampling"])})

    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for the recipe."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def differences(self, other: "Recipe") -> str:
        """What another recipe does differently, for messages: `field: ours, theirs: theirs`."""
        ours, theirs = json.loads(self.to_json()), json.loads(other.to_json())
        return "; ".join(
            f"{k}: {ours[k]} here, {theirs[k]} there" for k in ours if ours[k] != theirs[k]
        )
