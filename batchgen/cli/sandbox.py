"""`batchgen sandbox`: the local server that speaks the images API, as a program of its own."""

from pathlib import Path

import click

from batchgen.errors import UsageError
from batchgen.sandbox.certificates import TLS_KINDS


@click.command(
    "sandbox",
    epilog="""\b
Examples:
  batchgen sandbox
  batchgen sandbox --port 8000 --latency 0 --scale 0.25
  batchgen sandbox --faults 429:0.05,disconnect:0.01 --requests-per-minute 600
  batchgen sandbox --tls good --tls-ca ca.pem
  MODELVERSE_BASE_URL=http://127.0.0.1:8000/v1 MODELVERSE_API_KEY=any batchgen run jobs/first.yaml
""",
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    metavar="N",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one.",
)
@click.option("--key", metavar="KEY", default=None, help="Refuse every other key with 401.")
@click.option(
    "--latency",
    metavar="FACTOR",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How slow: 0 answers at once.",
)
@click.option(
    "--scale",
    metavar="FACTOR",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.05, 1.0),
    help="Draw smaller than asked, for tests.",
)
@click.option(
    "--link-lifetime",
    metavar="SECONDS",
    default=604800.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that links live.",
)
@click.option(
    "--requests-per-minute",
    metavar="N",
    default=None,
    type=click.FloatRange(min=0, min_open=True),
    help="Refuse more with 429.",
)
@click.option(
    "--burst",
    metavar="N",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many of those may come at once.",
)
@click.option(
    "--retry-after/--no-retry-after", default=True, show_default=True, help="Whether a 429 says how long to wait."
)
@click.option(
    "--concurrency", metavar="N", default=None, type=click.IntRange(min=1), help="Refuse more at once with 429."
)
@click.option("--faults", default="", metavar="KIND:RATE,…", help="Misbehave on order; see docs/sandbox.md.")
@click.option(
    "--tls",
    default=None,
    type=click.Choice(list(TLS_KINDS)),
    help="Speak https, well or badly.",
)
@click.option(
    "--tls-ca",
    default=None,
    type=click.Path(dir_okay=False),
    help="With --tls: write here what a client needs to trust the server.",
)
@click.option(
    "--profile",
    metavar="NAME",
    default="page-2025-06",
    show_default=True,
    type=click.Choice(("page-2025-06", "docs-2026-05")),
    help="Which of the provider's pages to speak.",
)
@click.option("--bill", default=None, type=click.Path(dir_okay=False), help="Append every billed request to this file.")
def command(**flags: object) -> None:
    """Serve the images API on this machine until Ctrl-C. It draws pictures, keeps a bill, and costs nothing.

    GET /sandbox/bill shows what it would have charged.
    """
    import asyncio
    import contextlib

    from batchgen.sandbox.faults import parse_faults
    from batchgen.sandbox.main import serve
    from batchgen.sandbox.options import SandboxOptions

    bill, tls_ca = flags["bill"], flags["tls_ca"]
    if tls_ca and not flags["tls"]:
        raise UsageError("--tls-ca says where a certificate goes, and without --tls there is none", "add --tls good")
    options = SandboxOptions(
        host=str(flags["host"]),
        port=flags["port"],  # type: ignore[arg-type]
        key=flags["key"],  # type: ignore[arg-type]
        latency=flags["latency"],  # type: ignore[arg-type]
        scale=flags["scale"],  # type: ignore[arg-type]
        link_lifetime_s=flags["link_lifetime"],  # type: ignore[arg-type]
        requests_per_minute=flags["requests_per_minute"],  # type: ignore[arg-type]
        burst=flags["burst"],  # type: ignore[arg-type]
        retry_after=bool(flags["retry_after"]),
        concurrency=flags["concurrency"],  # type: ignore[arg-type]
        profile=flags["profile"],  # type: ignore[arg-type]
        faults=parse_faults(str(flags["faults"])),
        bill_file=None if bill is None else Path(str(bill)),
        tls=flags["tls"],  # type: ignore[arg-type]
        tls_ca=None if tls_ca is None else Path(str(tls_ca)),
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options, click.echo))
