"""Batch image generation against a hosted, paid images API."""

__version__ = "0.1.0"
