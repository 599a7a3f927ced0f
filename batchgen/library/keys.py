"""The provider's key: whether it is one, where it may go, and that it stands in nothing that is sent or written down.

It refuses to read the environment: variables are given to it.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from batchgen.errors import CredentialsError, UsageError
from batchgen.secret import Secret
from batchgen.spec.job import Job


def check_key(key: str, name: str) -> None:
    """Raise CredentialsError for what no provider issues as a key; `name` says where it stood."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialsError(
            f"the key in {name} has characters that no key has (a line break, a space, a quote?)",
            "copy it again, without anything around it",
        )


def is_known(job: Job, variables: Mapping[str, str]) -> bool:
    """Whether the job's address is the provider's own, or the one that its user's variables name."""
    known = [job.provider.base_url, *job.provider.also_at, variables.get(job.provider.base_url_env or "", "")]
    return _origin(job.base_url) in {_origin(url) for url in known if url}


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return "", "", 0
    return parts.scheme, (parts.hostname or "").rstrip("."), port or (443 if parts.scheme == "https" else 80)


def check_prompts(job: Job, key: str | None) -> None:
    """Raise UsageError when the key itself stands in what would be sent and written down."""
    secret = Secret(key)
    for row in job.rows:
        texts = (
            row.prompt,
            *row.columns.values(),
            *map(str, row.params.values()),
            *map(str, row.extra_params.values()),
        )
        if any(map(secret.is_in, texts)):
            raise UsageError(
                f"{row.place}: the key in {job.key_env} stands here, and would be written down; nothing was sent",
                "take it out, and see whether this file is the one that you meant",
            )
