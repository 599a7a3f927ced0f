"""batchgen for programs: what the command line does, as functions that take and return values."""
