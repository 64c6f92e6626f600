"""Every test runs with implicit rank promotion refused."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
