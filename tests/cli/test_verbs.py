"""Each verb through click in this process: what it prints, and that it asks and sends nothing it should not."""

import json

import pytest
from click.testing import CliRunner

from batchgen.catalog.catalog import load_provider
from batchgen.cli.main import cli, main


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.exit_code, result.output


def test_help_names_every_verb_the_exit_codes_and_an_example() -> None:
    code, text = invoke("--help")

    verbs = (
        "init",
        "validate",
        "plan",
        "run",
        "recover",
        "status",
        "verify",
        "gallery",
        "recipe",
        "export",
        "models",
        "sandbox",
    )
    assert code == 0
    assert all(f"  {verb} " in text for verb in verbs)
    assert "batchgen run jobs/first.yaml" in text
    assert "budget" in text


@pytest.mark.parametrize(
    "verb",
    [
        "init",
        "validate",
        "plan",
        "run",
        "recover",
        "status",
        "verify",
        "gallery",
        "recipe",
        "export",
        "models",
        "sandbox",
    ],
)
def test_every_verb_explains_itself_with_examples(verb: str) -> None:
    code, text = invoke(verb, "--help")

    assert code == 0
    assert "Examples:" in text
    assert f"batchgen {verb}" in text


def test_models_shows_every_model_and_price_and_a_model_every_field() -> None:
    _, table = invoke("models")
    _, page = invoke("models", "flux.1-dev")
    provider = load_provider("modelverse")

    assert all(model.short_name in table.replace("\n", "") or model.id in table for model in provider.models.values())
    assert all(price in table for price in ("0.10", "0.35", "0.30", "0.70"))
    assert "CNY" in table
    assert provider.prices_as_of in table
    for name, field in provider.model("black-forest-labs/flux.1-dev").fields.items():
        assert name in page
        assert field.default is None or str(field.default) in page


def test_models_as_json_holds_all_of_the_catalogue() -> None:
    _, text = invoke("models", "--json")

    models = {model["id"]: model for model in json.loads(text)["models"]}
    assert len(models) == 8
    assert models["stepfun-ai/step1x-edit"]["price"] == "0.30"


def test_an_unknown_model_or_provider_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (["models", "flux1-dev"], "flux.1-dev"),
        (["models", "--provider", "modelvers"], "modelverse"),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert word in capsys.readouterr().err


def test_an_unknown_price_is_called_unknown_and_never_nothing() -> None:
    import dataclasses

    from rich.console import Console

    from batchgen.views.tables import models_table

    provider = load_provider("modelverse")
    model = dataclasses.replace(next(iter(provider.models.values())), price=None)
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(models_table(dataclasses.replace(provider, models={model.id: model})))
    text = console.export_text()
    console.file.close()

    assert "unknown" in text
    assert "0.00" not in text


def test_a_version_is_told() -> None:
    from batchgen import __version__

    assert __version__ in invoke("--version")[1]
