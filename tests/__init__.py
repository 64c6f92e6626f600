"""Tests, named after the modules they test."""
