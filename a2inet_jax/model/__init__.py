"""The head of A2INet, the figure of the paper from top to bottom, and the VSFA baseline."""
