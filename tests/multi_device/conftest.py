"""Eight devices made of the CPU. JAX counts its devices once, so these tests need their own process."""

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
