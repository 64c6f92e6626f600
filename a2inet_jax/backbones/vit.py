"""Vision transformer as a frozen feature extractor (Dosovitskiy et al., ICLR 2021): ViT-B, frames of 224×224.

A block is x + attention(norm(x)), then x + MLP(norm(x)). GELU is the exact one, by the error function. Layer
norm, softmax and the running sum over the blocks are float32 at least, whatever the layers compute in.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Plain, PublishedLayout, Source, torch_plain

SIDE = 224  # of a frame, pixels: position embeddings are learnt for it
HEADS = 12
EPSILON = 1e-6  # of the layer norms


def layer_norm(name: str, epsilon: float, dtype: DTypeLike) -> nn.LayerNorm:
    """Layer norm over channels, its statistics in float32 at least and without cancellation."""
    return nn.LayerNorm(epsilon, dtype, use_fast_variance=False, name=name)


def at_least_float32(dtype: DTypeLike) -> DTypeLike:
    """What sums and softmax are computed in."""
    return jnp.promote_types(dtype, jnp.float32)


class SelfAttention(nn.Module):
    """softmax(q kᵀ / √d + bias) v for each head of d channels, heads side by side, then a linear layer."""

    heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxC: jax.Array, bias_HxNxN: jax.Array | None = None) -> jax.Array:
        """Returns [..., N, C] for [..., N, C]; the bias broadcasts against [..., heads, N, N]."""
        *batch, channels = x_NxC.shape
        qkv = nn.Dense(3 * channels, dtype=self.dtype, name="qkv")(x_NxC)
        qkv = qkv.reshape(*batch, 3, self.heads, channels // self.heads)
        # Heads before tokens: products of heads whose tokens lie apart are slower on a CPU.
        q, k, v = jnp.moveaxis(qkv, (-3, -2), (0, -3))
        scores = jnp.einsum(
            "...qd,...kd->...qk", q, k, preferred_element_type=at_least_float32(self.dtype)
        )
        scores *= q.shape[-1] ** -0.5
        if bias_HxNxN is not None:
            scores += bias_HxNxN
        weights = nn.softmax(scores).astype(self.dtype)
        y = jnp.moveaxis(weights @ v, -3, -2).reshape(x_NxC.shape)
        return nn.Dense(channels, dtype=self.dtype, name="proj")(y)


class Mlp(nn.Module):
    """Linear layer, exact GELU, linear layer."""

    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxC: jax.Array) -> jax.Array:
        """Returns [..., C] for [..., C]."""
        x = nn.Dense(self.hidden, dtype=self.dtype, name="fc1")(x_NxC)
        return nn.Dense(x_NxC.shape[-1], dtype=self.dtype, name="fc2")(
            nn.gelu(x, approximate=False)
        )


class Block(nn.Module):
    """A block of the encoder."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxNxC: jax.Array) -> jax.Array:
        """Returns [B, N, C]."""
        x = x_BxNxC
        norm = partial(layer_norm, epsilon=EPSILON, dtype=self.dtype)
        x = x + SelfAttention(HEADS, self.dtype, name="attn")(norm("norm1")(x))
        return x + Mlp(4 * x.shape[-1], self.dtype, name="mlp")(norm("norm2")(x))


class Encoder(nn.Module):
    """Patches, class token and position embeddings, and the blocks behind them.

    Attributes:
      patch: side of a patch, pixels.
      depth: number of blocks.
      width: channels of a token.
      dtype: of the computation; parameters are float32.
    """

    patch: int
    depth: int
    width: int = 768
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_Bx224x224x3: jax.Array) -> list[jax.Array]:
        """What each block gives, [B, 1 + (224 / patch)², width] float32: the class token, then the patches.

        Raises:
          ValueError: the frames are of another size.
        """
        batch, *size, _ = x_Bx224x224x3.shape
        if size != [SIDE, SIDE]:
            raise ValueError(
                f"the network takes frames of {SIDE}×{SIDE}, these are {size[1]}×{size[0]}"
            )
        patch, places = (self.patch, self.patch), (SIDE // self.patch) ** 2
        normal = nn.initializers.normal(0.02)
        token = self.param("class_token", nn.initializers.zeros, (1, 1, self.width))
        position = self.param("position", normal, (1, 1 + places, self.width))
        conv = nn.Conv(self.width, patch, patch, "VALID", dtype=self.dtype, name="patches")
        x = conv(x_Bx224x224x3).reshape(batch, places, self.width)
        tokens = jnp.broadcast_to(token, (batch, 1, self.width))
        x = jnp.concatenate([tokens, x], axis=1) + position
        outputs = []
        for index in range(self.depth):
            x = Block(self.dtype, name=f"block_{index}")(x)
            outputs.append(x)
        return outputs


class ViTB16(nn.Module):
    """ViT-B/16 as torchvision lays it out.

    Attributes:
      width: channels of a token; the published network's are 768.
      dtype: of the computation; parameters are float32.
    """

    width: int = 768
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_Bx224x224x3: jax.Array) -> list[jax.Array]:
        """The patches' tokens behind the last layer norm, as one map.

        Args:
          x_Bx224x224x3: normalised frames.

        Returns:
          One array [B, 14, 14, width]; the class token is left out.
        """
        x = Encoder(16, 12, self.width, self.dtype, name="encoder")(x_Bx224x224x3)[-1]
        x = layer_norm("norm", EPSILON, self.dtype)(x)[:, 1:]
        return [x.reshape(len(x), SIDE // 16, SIDE // 16, self.width)]


def published(path: Sequence[str]) -> Source:
    """Tensors of a layer as torchvision names them now.

    Args:
      path: the layer among the parameters, like `("encoder", "block_3", "attn", "qkv")`.
    """
    return _torchvision(path, {"fc1": "0", "fc2": "3"})


def published_2021(path: Sequence[str]) -> Source:
    """Tensors of a layer as torchvision named them at first, and as its published file still does."""
    return _torchvision(path, {"fc1": "linear_1", "fc2": "linear_2"})


def _torchvision(path: Sequence[str], mlp: dict[str, str]) -> Source:
    if path[0] == "norm":
        return torch_plain("encoder.ln")
    _, part, *rest = path
    if part == "class_token":
        return "class_token"
    if part == "position":
        return "encoder.pos_embedding"
    if part == "patches":
        return torch_plain("conv_proj")
    block = f"encoder.layers.encoder_layer_{part.removeprefix('block_')}"
    *_, layer = rest
    if layer == "qkv":
        name = f"{block}.self_attention.in_proj"
        return Plain(f"{name}_weight", f"{name}_bias")
    names = {"norm1": "ln_1", "norm2": "ln_2", "proj": "self_attention.out_proj"}
    names |= {layer: f"mlp.{name}" for layer, name in mlp.items()}
    return torch_plain(f"{block}.{names[layer]}")


LAYOUTS = tuple(
    PublishedLayout(source, ignored=("heads.*",)) for source in (published, published_2021)
)
