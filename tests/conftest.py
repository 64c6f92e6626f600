"""What holds in every test: rank promotion is refused, and a program is compiled once in a run of tests."""

import atexit
import os
import shutil
import tempfile

# A folder for this run alone. Workers and the processes of tests have it from the environment, which
# JAX reads when it is imported.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="a2inet-compiled-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
