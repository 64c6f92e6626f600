"""Videos to frames: guarded decoding, sampling, resizing."""
