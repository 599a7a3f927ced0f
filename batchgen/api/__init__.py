"""Talking to a provider: the wire, the paid call, the download, and what an outcome means."""
