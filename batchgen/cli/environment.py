"""The one place that reads the environment: variables, and the `.env` file beside a job.

A job file may come from anybody, and it may say where the provider is. So a key goes to addresses of its provider and to
what the owner of the key names: in the environment for a key from there, in `.env` for one from `.env`.
"""

import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.errors import CredentialsError, UsageError
from batchgen.library.keys import check_key, is_known
from batchgen.spec.job import Job

_ENV_AT_MOST = 1 << 18
"""Characters."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables for one job: the process's own win over those of the `.env` file."""

    process: Mapping[str, str]
    file: Mapping[str, str]
    path: Path
    """Of the `.env` file, which need not exist."""
    open_to_others: bool = False
    """Whether users other than its owner may read or change the `.env` file."""

    @property
    def values(self) -> Mapping[str, str]:
        """All variables."""
        return {**self.file, **self.process}

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user: where values came from."""
        used = sorted(name for name in self.file if name not in self.process)
        return (f"using {', '.join(used)} from {self.path}",) if used else ()


def read_environment(job: Path) -> Environment:
    """The environment as a job in that place sees it. Raises UsageError for a `.env` that cannot be read."""
    file = job.parent / ".env"
    process = dict(os.environ)
    if job.is_dir() or not file.is_file():  # results may come from anybody, and are no place for a key
        return Environment(process, {}, file)
    import io

    from dotenv import dotenv_values

    from batchgen.spec.files import open_regular

    try:
        with open_regular(file) as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(_ENV_AT_MOST + 1).decode()
        if len(text) > _ENV_AT_MOST:
            raise UsageError(f"{file}: too large for a file of variables", "keep only lines such as NAME=value in it")
        # Values are taken as they stand: what looks like `${NAME}` must not bring other variables into a file's words.
        values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not readable as text"
        raise UsageError(f"{file}: {str(reason).lower()}", "repair the file or take it away") from None
    found = {name: value for name, value in values.items() if value is not None}
    return Environment(process, found, file, bool(mode & (stat.S_IRWXG | stat.S_IRWXO)))


def key_for(job: Job, environment: Environment) -> str | None:
    """The key for the job's provider, or None where none is needed.

    Raises CredentialsError when it is missing or lies open, and UsageError when the job would send it elsewhere.
    """
    if job.key_env is None:
        if job.provider.key_env is not None:  # a job out of a stranger's folder: nothing goes anywhere without a key
            raise UsageError("the job names no variable for the key; nothing was sent", "name the job file instead")
        return None
    from_file = job.key_env not in environment.process
    key = environment.values.get(job.key_env, "").strip()
    if not key:
        raise CredentialsError(
            f"no key for {job.provider.title}: {job.key_env} is not set",
            f"`export {job.key_env}=…`, or write it into a `.env` file beside the job; "
            "`provider: sandbox` in the job needs no key",
        )
    check_key(key, job.key_env)
    if from_file and environment.open_to_others:
        raise CredentialsError(
            f"other users can read the key in {environment.path}; nothing was sent",
            f"`chmod 600 {shlex.quote(str(environment.path))}` makes the file yours alone; "
            f"if others may have read it, get a new key first. Or `export {job.key_env}=…` instead",
        )
    _check_destination(job, environment, from_file=from_file)
    return key


def _check_destination(job: Job, environment: Environment, *, from_file: bool) -> None:
    # A job out of an output folder was not checked as a file is.
    if urlsplit(job.base_url).scheme not in {"https", "http"}:
        raise UsageError("the provider's address in this job is not one; nothing was sent", "write it as https://…")
    if job.proxy and urlsplit(job.base_url).scheme != "https":
        raise UsageError(
            f"over plain http the proxy {urlsplit(job.proxy).netloc} would read the key in {job.key_env}; nothing was sent",
            "take `proxy` out of the job: this machine is reached without one",
        )
    variable = job.provider.base_url_env
    if is_known(job, environment.values if from_file else environment.process):
        return
    host = urlsplit(job.base_url).netloc
    raise UsageError(
        f"the key in {job.key_env} would go to {host}, which is not an address of {job.provider.title}; nothing was sent",
        f"if you trust {host} with it, say so where the key is: "
        + (
            f"write {variable}={job.base_url} into {environment.path}"
            if from_file
            else f"`export {variable}={shlex.quote(job.base_url)}`"
        ),
    )


def check_saved(job: Job, environment: Environment, folder: Path) -> None:
    """Raise UsageError when the job that an output folder keeps leads to where nobody here said that it may lead.

    A job file is read before it is run; what a ledger holds nobody reads. So not even downloads go to an inner network,
    or through a proxy, on its word.
    """
    if job.provider.embedded:
        return
    if job.proxy:
        raise UsageError(
            f"the job kept in {folder} names the proxy {urlsplit(job.proxy).netloc}; nothing was sent",
            "name the job file instead of its folder",
        )
    if not is_known(job, environment.process):
        raise UsageError(
            f"the job kept in {folder} leads to {urlsplit(job.base_url).netloc}, "
            f"which is not an address of {job.provider.title}; nothing was sent",
            "name the job file instead of its folder"
            + (
                f", or `export {job.provider.base_url_env}={shlex.quote(job.base_url)}`"
                if job.provider.base_url_env
                else ""
            ),
        )


def check_authorities(environment: Environment) -> None:
    """Raise UsageError when the file of trusted certificates is no such file: every server would seem untrusted."""
    path = environment.process.get("SSL_CERT_FILE", "")
    if not path:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise UsageError(
            f"SSL_CERT_FILE names {path}, which holds no certificates",
            "name a file of certificates that begin with -----BEGIN CERTIFICATE-----, or unset the variable",
        ) from None
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UsageError(f"SSL_CERT_FILE names {path}: {reason}", "repair the path or unset the variable") from None
