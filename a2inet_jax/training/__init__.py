"""Training of the head: data, batches, losses, optimizer, devices, checkpoints, the loop over epochs."""
