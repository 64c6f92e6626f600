"""The folder for files that can be downloaded or made again."""

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Return `$A2INET_HOME`, else the user's cache folder, on Linux `~/.cache/a2inet`.

    Where `$XDG_CACHE_HOME` is set on Linux, it takes the place of `~/.cache`.
    """
    home = os.environ.get("A2INET_HOME")
    return Path(home) if home else platformdirs.user_cache_path("a2inet")
