"""`batchgen models`: what the catalogue knows of models, their fields and prices."""

import click

from batchgen.cli.completion import model_ids, providers


@click.command(
    "models",
    epilog="""\b
Examples:
  batchgen models
  batchgen models flux.1-dev
  batchgen models --profile docs-2026-05
  batchgen models --json
""",
)
@click.argument("model", required=False, shell_complete=model_ids)
@click.option(
    "--provider",
    metavar="NAME",
    default="modelverse",
    show_default=True,
    help="Which provider's models.",
    shell_complete=providers,
)
@click.option("--profile", metavar="NAME", help="By other pages of the provider than the usual one.")
@click.option("--json", "as_json", is_flag=True, default=False, help="The same as one JSON object on stdout.")
def command(model: str | None, provider: str, profile: str | None, as_json: bool) -> None:
    """List the models with their prices, or all fields of one MODEL (its id or the end of it)."""
    from batchgen.catalog.catalog import load_provider

    found = load_provider(provider, profile)
    if as_json:
        from batchgen.outside import json_text

        click.echo(json_text(found.as_json(), indent=2))
        return
    from rich.console import Console

    from batchgen.views.tables import model_page, models_table

    if model is None:
        Console().print(models_table(found))
    else:
        others = [load_provider(provider, name) for name in found.profiles if name != found.profile]
        Console().print(model_page(found.find(model), found, others))
