"""Frames of videos: decoding in a separate process, sampling and resizing."""
