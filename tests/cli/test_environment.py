"""Where the key comes from, where it may go, and which authorities are trusted."""

import dataclasses
from pathlib import Path

import pytest

from batchgen.cli.environment import check_authorities, key_for, read_environment
from batchgen.errors import UsageError
from batchgen.spec.load import load_job

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODELVERSE_API_KEY", "MODELVERSE_BASE_URL", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def key_sent_to(url: str, folder: Path) -> str | None:
    path = folder / "job.yaml"
    path.write_text(
        f"prompts: [a]\nmodels: [black-forest-labs/flux.1-dev]\nprovider: {{name: modelverse, base_url: '{url}'}}\n"
    )
    environment = read_environment(path)
    return key_for(load_job(path, environment=environment.values), environment)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.modelverse.cn/v1",
        "https://API.modelverse.cn:443/v2",
        "https://api.umodelverse.ai/v1",
        "https://api-us-ca.umodelverse.ai/v1",
    ],
)
def test_the_key_goes_to_its_providers_addresses(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELVERSE_API_KEY", KEY)

    assert key_sent_to(url, tmp_path) == KEY


ELSEWHERE = [
    "https://evil.example/v1",
    "https://api.modelverse.cn.evil.example/v1",
    "https://api.modelverse.cn:8443/v1",
    "https://sub.api.modelverse.cn/v1",
    "https://localhost.evil.example/v1",
    "https://a.localhost/v1",
    "https://10.0.0.1/v1",
    "http://127.0.0.1:8000/v1",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_and_nowhere_else_unless_its_owner_says_so(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELVERSE_API_KEY", KEY)
    (tmp_path / ".env").write_text(f"MODELVERSE_BASE_URL={url}\n")  # it may have come with the job
    with pytest.raises(UsageError, match="would go to") as refused:
        key_sent_to(url, tmp_path)
    assert KEY not in refused.value.message + refused.value.hint
    assert f"export MODELVERSE_BASE_URL={url}" in refused.value.hint

    monkeypatch.setenv("MODELVERSE_BASE_URL", url)
    assert key_sent_to(url, tmp_path) == KEY


def test_a_key_from_a_file_goes_where_that_file_says(tmp_path: Path) -> None:
    url = ELSEWHERE[0]
    (tmp_path / ".env").touch(0o600)
    (tmp_path / ".env").write_text(f"MODELVERSE_API_KEY={KEY}\n")
    with pytest.raises(UsageError, match="would go to"):
        key_sent_to(url, tmp_path)

    (tmp_path / ".env").write_text(f"MODELVERSE_API_KEY={KEY}\nMODELVERSE_BASE_URL={url}\n")
    assert key_sent_to(url, tmp_path) == KEY


def test_a_job_out_of_a_strangers_folder_does_not_show_the_key_to_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELVERSE_API_KEY", KEY)
    path = tmp_path / "job.yaml"
    path.write_text("prompts: [a]\nmodels: [black-forest-labs/flux.1-dev]\n")
    job = load_job(path, environment={"MODELVERSE_BASE_URL": "http://127.0.0.1:8000/v1"})

    for url in ("http://127.0.0.1:8000/v1", "HTTP://127.0.0.1:8000/v1", "\x01http://127.0.0.1:8000/v1"):
        with pytest.raises(UsageError, match="would read the key"):
            key_for(dataclasses.replace(job, base_url=url, proxy="http://proxy.example:3128"), read_environment(path))
    with pytest.raises(UsageError, match="no variable for the key"):
        key_for(dataclasses.replace(job, base_url="https://evil.example/v1", key_env=None), read_environment(path))
    for url in ("ws://127.0.0.1/v1", "//127.0.0.1/v1", "ftp://127.0.0.1/v1"):
        with pytest.raises(UsageError, match="is not one"):
            key_for(dataclasses.replace(job, base_url=url), read_environment(path))


def test_words_of_a_file_do_not_bring_other_variables_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "hidden-0123456789")
    (tmp_path / ".env").write_text("MODELVERSE_BASE_URL=https://x.example/${OTHER_SECRET}\n")

    assert "hidden" not in str(read_environment(tmp_path / "job.yaml").file)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), (b"", "no certificates"), (b"-----BEGIN", "no certificates")]
)
def test_a_file_of_authorities_that_is_none_is_named(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))

    with pytest.raises(UsageError, match=said) as refused:
        check_authorities(read_environment(tmp_path / "job.yaml"))
    assert str(path) in refused.value.message
