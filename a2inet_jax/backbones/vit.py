"""Vision transformer as a frozen feature extractor (Dosovitskiy et al., ICLR 2021): ViT-B, frames of 224×224.

A block is x + attention(norm(x)), then x + MLP(norm(x)). GELU is the exact one, by the error function. Layer
norms, softmax and the residual stream are float32 or wider, whatever the layers' compute dtype.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from a2inet_jax.backbones.convert import Plain, PublishedLayout, TensorNames, torch_plain

SIDE = 224  # pixels; the position embeddings are trained for it
HEADS = 12
EPSILON = 1e-6  # of the layer norms


def layer_norm(name: str, epsilon: float, dtype: DTypeLike) -> nn.LayerNorm:
    """Make a layer norm over channels, with statistics in float32 or wider that don't cancel."""
    return nn.LayerNorm(epsilon, dtype, use_fast_variance=False, name=name)


def at_least_float32(dtype: DTypeLike) -> DTypeLike:
    """Return the dtype for sums and softmax."""
    return jnp.promote_types(dtype, jnp.float32)


class SelfAttention(nn.Module):
    """softmax(q kᵀ / √d + bias) v of each head of d channels, then a linear layer over all heads."""

    heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxC: jax.Array, bias_HxNxN: jax.Array | None = None) -> jax.Array:
        """Map [..., N, C] to [..., N, C]; the bias broadcasts to [..., heads, N, N]."""
        *batch, channels = x_NxC.shape
        qkv = nn.Dense(3 * channels, dtype=self.dtype, name="qkv")(x_NxC)
        qkv = qkv.reshape(*batch, 3, self.heads, channels // self.heads)
        # Heads before tokens: products are slower on a CPU if a head's tokens are apart in memory.
        q, k, v = jnp.moveaxis(qkv, (-3, -2), (0, -3))
        logits_HxNxN = jnp.einsum(
            "...qd,...kd->...qk", q, k, preferred_element_type=at_least_float32(self.dtype)
        )
        logits_HxNxN *= q.shape[-1] ** -0.5
        if bias_HxNxN is not None:
            logits_HxNxN += bias_HxNxN
        attention_HxNxN = nn.softmax(logits_HxNxN).astype(self.dtype)
        y_NxC = jnp.moveaxis(attention_HxNxN @ v, -3, -2).reshape(x_NxC.shape)
        return nn.Dense(channels, dtype=self.dtype, name="proj")(y_NxC)


class Mlp(nn.Module):
    """Linear layer, exact GELU, linear layer."""

    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_NxC: jax.Array) -> jax.Array:
        """Map [..., C] to [..., C]."""
        x = nn.Dense(self.hidden, dtype=self.dtype, name="fc1")(x_NxC)
        return nn.Dense(x_NxC.shape[-1], dtype=self.dtype, name="fc2")(
            nn.gelu(x, approximate=False)
        )


class Block(nn.Module):
    """A block of the encoder."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_BxNxC: jax.Array) -> jax.Array:
        """Return [B, N, C]."""
        x = x_BxNxC
        norm = partial(layer_norm, epsilon=EPSILON, dtype=self.dtype)
        x = x + SelfAttention(HEADS, self.dtype, name="attn")(norm("norm1")(x))
        return x + Mlp(4 * x.shape[-1], self.dtype, name="mlp")(norm("norm2")(x))


class Encoder(nn.Module):
    """Patch, class token and position embeddings, followed by the blocks.

    Attributes:
        patch: Side of a patch, pixels.
        depth: Number of blocks.
        width: Channels of a token.
    """

    patch: int
    depth: int
    width: int = 768
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_Bx224x224x3: jax.Array) -> list[jax.Array]:
        """Return each block's output, [B, 1 + (224 / patch)², width] float32: class token, then patches.

        Raises:
            ValueError: The frames are not 224×224.
        """
        batch, *size, _ = x_Bx224x224x3.shape
        if size != [SIDE, SIDE]:
            raise ValueError(
                f"the network takes frames of {SIDE}×{SIDE}, these are {size[1]}×{size[0]}"
            )
        patch, patches = (self.patch, self.patch), (SIDE // self.patch) ** 2
        normal = nn.initializers.normal(0.02)
        token = self.param("class_token", nn.initializers.zeros, (1, 1, self.width))
        position = self.param("position", normal, (1, 1 + patches, self.width))
        conv = nn.Conv(self.width, patch, patch, "VALID", dtype=self.dtype, name="patches")
        x = conv(x_Bx224x224x3).reshape(batch, patches, self.width)
        class_tokens = jnp.broadcast_to(token, (batch, 1, self.width))
        x = jnp.concatenate([class_tokens, x], axis=1) + position
        outputs = []
        for index in range(self.depth):
            x = Block(self.dtype, name=f"block_{index}")(x)
            outputs.append(x)
        return outputs


class ViTB16(nn.Module):
    """ViT-B/16; `width` is the channels of a token, 768 in the published network."""

    width: int = 768
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x_Bx224x224x3: jax.Array) -> list[jax.Array]:
        """Return the patches' tokens after the last layer norm, one array [B, 14, 14, width]."""
        x = Encoder(16, 12, self.width, self.dtype, name="encoder")(x_Bx224x224x3)[-1]
        x = layer_norm("norm", EPSILON, self.dtype)(x)[:, 1:]
        return [x.reshape(len(x), SIDE // 16, SIDE // 16, self.width)]


def _torchvision(path: Sequence[str], mlp: tuple[str, str]) -> TensorNames:
    """Return torchvision's names of a layer's tensors, given those of the MLP's two layers."""
    if path[0] == "norm":
        return torch_plain("encoder.ln")
    _, name, *rest = path
    if name == "class_token":
        return "class_token"
    if name == "position":
        return "encoder.pos_embedding"
    if name == "patches":
        return torch_plain("conv_proj")
    block = f"encoder.layers.encoder_layer_{name.removeprefix('block_')}"
    *_, layer = rest
    if layer == "qkv":
        in_proj = f"{block}.self_attention.in_proj"
        return Plain(f"{in_proj}_weight", f"{in_proj}_bias")
    names = {"norm1": "ln_1", "norm2": "ln_2", "proj": "self_attention.out_proj"}
    names |= {"fc1": f"mlp.{mlp[0]}", "fc2": f"mlp.{mlp[1]}"}
    return torch_plain(f"{block}.{names[layer]}")


# The present names, and the first ones, which the published file still has.
LAYOUTS = tuple(
    PublishedLayout(partial(_torchvision, mlp=mlp), ignored=("heads.*",))
    for mlp in (("0", "3"), ("linear_1", "linear_2"))
)
