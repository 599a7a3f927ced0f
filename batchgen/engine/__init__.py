"""The life of one task, of one model's pool, of one endpoint, of one run."""
