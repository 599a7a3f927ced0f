"""A local server that speaks the images API, bills, limits and misbehaves on order."""
