"""LSVQ: 39 thousand videos from the Internet Archive and Flickr, rated by crowdsourcing."""
