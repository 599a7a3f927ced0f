"""The page of a comparison: static files beside the pictures, which open without a server."""
