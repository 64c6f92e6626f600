"""LIVE-Qualcomm: 208 raw videos of eight phones, rated in a laboratory."""
