"""One file per verb: arguments to values, one call, an exit code."""
