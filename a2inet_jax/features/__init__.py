"""Frames to features: extraction with frozen backbones, and the store that keeps them."""
