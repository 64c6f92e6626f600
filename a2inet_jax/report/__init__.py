"""Presentation of results: pages, plots, tables beside the paper's, LaTeX and terminal output."""
