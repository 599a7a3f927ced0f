"""What providers offer, as data."""
