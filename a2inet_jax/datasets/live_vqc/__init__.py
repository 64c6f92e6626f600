"""LIVE-VQC: 585 videos from the hands of as many users, rated by a crowd."""
