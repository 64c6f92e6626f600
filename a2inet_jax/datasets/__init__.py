"""Labelled videos: the data sets, their indices and their splits; lists of any videos."""
