"""Where this package keeps what can be fetched, or made, again."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder for what can be fetched again: `$A2INET_HOME`, or `~/.cache/a2inet`."""
    return Path(os.environ.get("A2INET_HOME") or Path.home() / ".cache" / "a2inet")
