"""KoNViD-1k: 1,200 clips of Flickr videos, rated by crowdsourcing."""
