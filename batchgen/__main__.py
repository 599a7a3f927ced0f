"""`python -m batchgen` is `batchgen`."""

from batchgen.cli.main import main

main()
