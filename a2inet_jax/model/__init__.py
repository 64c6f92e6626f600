"""The A2INet head, whose modules follow the paper's figure from top to bottom, and the VSFA baseline."""
