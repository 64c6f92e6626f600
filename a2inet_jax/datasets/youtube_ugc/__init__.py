"""YouTube-UGC: clips of YouTube uploads in fifteen categories, rated by crowdsourcing."""
