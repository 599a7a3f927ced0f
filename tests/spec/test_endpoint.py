"""Where a provider is, and what its tasks are remembered under."""

from collections.abc import Callable

import pytest

from batchgen.spec.endpoint import is_loopback
from batchgen.spec.job import Job

LOCAL = "http://127.0.0.1:8000/v1"


def test_the_job_wins_over_the_environment_and_that_over_the_catalogue(read: Callable[..., Job]) -> None:
    environment = {"MODELVERSE_BASE_URL": "https://gate.example.org/v1/"}
    given = "prompts: [a]\nprovider: {base_url: 'https://own.example.org/v1', api_key_env: MY_KEY}"

    assert read("prompts: [a]").base_url == "https://api.modelverse.cn/v1"
    assert read("prompts: [a]", environment=environment).base_url == "https://gate.example.org/v1"
    job = read(given, environment=environment)
    assert (job.base_url, job.key_env, job.identity) == ("https://own.example.org/v1", "MY_KEY", "modelverse")


def test_the_embedded_sandbox_is_just_itself(read: Callable[..., Job]) -> None:
    job = read("prompts: [a]\nprovider: sandbox", environment={"MODELVERSE_BASE_URL": LOCAL})

    assert (job.identity, job.key_env, job.provider.embedded) == ("sandbox", None, True)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        (LOCAL, True),
        ("http://localhost:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.9.9.9/v1", True),
        ("https://x.localhost/v1", False),
        ("https://api.modelverse.cn/v1", False),
        ("https://localhost.example.org/v1", False),
        ("https://127.0.0.1.example.org/v1", False),
        ("http://[::1", False),
    ],
)
def test_what_this_machine_is(url: str, local: bool) -> None:
    assert is_loopback(url) == local


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://api.modelverse.cn/v1", "is plain http, which is for this machine only"),
        ("ftp://x/v1", "is not an address"),
        ("api.modelverse.cn", "is not an address"),
        ("https://x.org:99999/v1", "is not an address"),
        ("https://x.org/v1?key=1", "must end with its path"),
        ("https://me:pw@x.org/v1", "holds a user name or a password"),
    ],
)
def test_an_address_that_may_not_be_used_is_told_of(url: str, said: str, complaints: Callable[..., str]) -> None:
    assert f"job.yaml:2:22: `base_url` {said}" in complaints(f"prompts: [a]\nprovider: {{base_url: '{url}'}}")
    assert f"MODELVERSE_BASE_URL: this address {said}" in complaints(
        "prompts: [a]", environment={"MODELVERSE_BASE_URL": url}
    )


def test_a_proxy_may_be_plain_http_and_holds_no_password(
    read: Callable[..., Job], complaints: Callable[..., str]
) -> None:
    assert (
        read("prompts: [a]\nprovider: {proxy: 'http://proxy.example.org:3128'}").proxy
        == "http://proxy.example.org:3128"
    )
    assert "holds a user name or a password" in complaints(
        "prompts: [a]\nprovider: {proxy: 'http://u:p@proxy.example.org'}"
    )


def test_a_proxy_never_carries_plain_http(complaints: Callable[..., str]) -> None:
    job = f"prompts: [a]\nprovider: {{base_url: '{LOCAL}', proxy: 'http://proxy.example.org:3128'}}"

    assert "over plain http a proxy would read the key" in complaints(job)
