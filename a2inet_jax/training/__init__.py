"""Training: losses, batches, state and step, data parallelism, checkpoints, the loop over epochs."""
