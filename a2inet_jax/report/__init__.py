"""Results to look at: pages, plots, tables beside the paper's, LaTeX and the terminal."""
