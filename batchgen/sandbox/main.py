"""`batchgen sandbox`: the server on its own, until it is told to stop.

It refuses to read arguments and to print: the verb in `cli/` gives options and says where the lines go.
"""

import asyncio
from collections.abc import Callable

from batchgen.sandbox.certificates import TLS_KINDS
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.server import start_sandbox


async def serve(options: SandboxOptions, announce: Callable[[str], None]) -> None:
    """Run a sandbox until cancelled; `announce` gets one line per thing worth saying.

    Raises UsageError when it cannot listen.
    """
    async with await start_sandbox(options) as sandbox:
        announce(f"sandbox at {sandbox.base_url}")
        announce(f"the bill: {sandbox.root_url}/sandbox/bill")
        if options.key is not None:
            announce("only requests with the given key are served")
        if options.tls is not None:
            announce(f"https with {TLS_KINDS[options.tls]}")
        if options.tls_ca is not None:
            announce(f"the authority's certificate: {options.tls_ca}")
        if options.faults:
            announce("faults: " + ", ".join(f"{fault.kind} ({fault.rate:.0%})" for fault in options.faults))
        try:
            await asyncio.Event().wait()
        finally:
            bill = sandbox.bill
            announce(f"billed {bill.pictures} pictures, {bill.cost} {bill.currency} of play money")
