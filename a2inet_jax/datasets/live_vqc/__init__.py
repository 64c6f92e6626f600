"""LIVE-VQC: 585 videos shot by 80 people with their own devices, rated by crowdsourcing."""
