"""Eight devices, made of the CPU. JAX counts them once, so these tests have a process of their own."""

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
