import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from batchgen.spec.task import InputPicture, task_id
from batchgen.storage.recipes import strip

from .conftest import Cli, Server, manifest, report, sandbox_process, write_job


def photo(path: Path, colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def rebuilt_id(row: dict[str, Any], folder: Path) -> str:
    """The task id of a manifest's line, from nothing but the line and `inputs/`."""

    def picture(text: str) -> InputPicture:
        if not text.startswith("inputs/"):
            return InputPicture(text)
        return InputPicture(text, sha256=hashlib.sha256((folder / text).read_bytes()).hexdigest())

    params = json.loads(row["params"])
    extra = params.pop("extra_params", {})
    for name in {"image", "images"} & params.keys():
        value = params[name]
        params[name] = picture(value) if isinstance(value, str) else tuple(picture(item) for item in value)
    return task_id(
        provider=row["provider"],
        model=row["model"],
        prompt=row["prompt"],
        seed=row["seed"],
        params=params,
        extra_params=extra,
    )


def test_every_line_of_the_manifest_rebuilds_its_request_with_the_same_id(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "outputs" / "foo"
    red, blue = photo(tmp_path / "jobs" / "red.png", "red"), photo(tmp_path / "jobs" / "blue.png", "blue")
    uri = "data:image/png;base64," + base64.b64encode(red).decode()
    job = write_job(
        tmp_path,
        f"""
prompts:
  - {{prompt: "a lamp, {{style}}", model: "*flux.1-dev", params: {{guidance_scale: 4, size: 512X512, n: 2}}}}
  - {{prompt: make it dark, model: "*kontext-pro", params: {{image: red.png}}}}
  - {{prompt: make it light, model: "*kontext-pro", params: {{image: "{uri}"}}}}
  - {{prompt: as it is, model: "*kontext-pro", params: {{image: "https://pictures.example.com/a.png"}}}}
  - {{prompt: both, model: "*multi", params: {{images: [red.png, blue.png]}}}}
vars: {{style: {{ink: black ink, oil: thick oil}}}}
models:
  - {{id: black-forest-labs/flux.1-dev, extra_params: {{}}}}
  - black-forest-labs/flux-kontext-pro
  - black-forest-labs/flux-kontext-pro/multi
""",
    )

    ran = cli("run", job, base_url=sandbox.base_url)

    rows = manifest(folder)
    assert ran.code == 0, ran.err
    assert len(rows) == 2 * 2 + 3 + 1
    assert {row["task_id"]: rebuilt_id(row, folder) for row in rows} == {row["task_id"]: row["task_id"] for row in rows}
    kept = {file.read_bytes() for file in (folder / "inputs").iterdir()}
    assert kept == {red, blue}


def test_the_file_is_what_the_manifest_says(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\nseeds: 1..6\n")
    cli("run", job, base_url=sandbox.base_url)

    for row in manifest(folder):
        data = (folder / row["file_name"]).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            found = (image.format or "").lower()
            assert (image.width, image.height, found) == (row["width"], row["height"], row["format"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert hashlib.sha256(strip(data)).hexdigest() == row["source_sha256"]
        assert len(data) == row["bytes"]
        assert Path(row["file_name"]).suffix == {"png": ".png", "jpeg": ".jpg"}[row["format"]]


def test_a_web_page_in_place_of_a_picture_is_never_stored_and_said_to_be_paid_and_lost(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\n")
    with sandbox_process(tmp_path, "--faults", "picture-html") as server:
        ran = cli("run", job, base_url=server.base_url)
        requests = server.bill()["requests"]

    assert ran.code == 3, ran.err
    assert requests == 1
    assert manifest(folder) == []
    assert report(folder)["counts"]["lost"] == 1
    assert "paid and lost" in ran.err
    assert not [file for file in folder.rglob("*") if file.suffix in {".png", ".jpg", ".webp"}]


def test_odd_pictures_are_stored_and_flagged(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(
        tmp_path,
        "prompts: ['lamp [[fault:picture-black]]', 'lamp [[fault:picture-same]]', 'chair [[fault:picture-same]]',"
        " 'cup [[fault:fewer]]']\nmodels: [black-forest-labs/flux.1-dev]\nparams: {n: 2, size: 256x512}\n",
    )
    with sandbox_process(tmp_path) as server:
        ran = cli("run", job, base_url=server.base_url)

    flags = [set(json.loads(row["flags"])) for row in manifest(folder)]
    assert ran.code == 0, ran.err
    assert any("black" in found for found in flags)
    assert any("duplicate" in found for found in flags)
    assert any("short" in found for found in flags)
    assert all("size" in found for found in flags)  # this sandbox draws a tenth of what is asked
