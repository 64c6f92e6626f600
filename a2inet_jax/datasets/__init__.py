"""Labelled videos: the data sets, their index and how they are split."""
