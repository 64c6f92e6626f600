"""Everything that decides the numbers in a feature file."""

import dataclasses
import hashlib
import json
import urllib.parse
from dataclasses import dataclass
from typing import Any, Self

from a2inet_jax.config import Features
from a2inet_jax.video.sampling import FR, Sampling

# The streams of a model, each with the features of one network.
STREAMS = ("quality", "semantic")

# Raise it with every change of the extracted numbers for the same backbone and sampling.
VERSION = 3


@dataclass(frozen=True)
class Recipe:
    """Settings that one network's features were extracted with; equal recipes give equal features.

    A recipe does not say which stream of a model the features are for, and its backbone need not be one of
    the registry.

    Attributes:
        backbone: Name of the network.
        sha256: SHA-256 of its published checkpoint.
        normalization: That of its input.
        width: D, the features of a frame.
        sampling: Frames, sizes and patches. Fields that have no effect have their defaults.
        dtype: Dtype of the network's computation.
        version: Version of the extracting code.
    """

    backbone: str
    sha256: str
    normalization: str
    width: int
    sampling: Sampling = FR
    dtype: str = Features.dtype
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as nested plain values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return the recipe as JSON; equal recipes give equal text."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Make the recipe that `to_json` wrote; other text is a TypeError, KeyError or ValueError."""
        fields = json.loads(text)
        return cls(**{**fields, "sampling": Sampling(**fields["sampling"])})

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that identify the recipe."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def folder_name(self) -> str:
        """Return the name of a store of this recipe: backbone and fingerprint."""
        return f"{urllib.parse.quote(self.backbone, safe='')}-{self.fingerprint()}"

    def differences(self, other: "Recipe") -> str:
        """List the fields that differ, for messages: `field: ours here, theirs there; …`."""
        ours, theirs = (
            {**fields.pop("sampling"), **fields} for fields in (self.as_dict(), other.as_dict())
        )
        return "; ".join(
            f"{k}: {ours[k]} here, {theirs[k]} there" for k in ours if ours[k] != theirs[k]
        )
