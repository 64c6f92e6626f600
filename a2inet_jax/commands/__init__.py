"""What `a2inet` does, a file for each command. These read configs; the rooms take plain values."""
