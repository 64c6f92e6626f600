"""LIVE-Qualcomm: 208 raw videos from eight phones, rated in a laboratory."""
