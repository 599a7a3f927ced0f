"""Which provider a job means, where it is, and under which name its tasks are remembered.

It owns the address rules (https, plain http on this machine alone, no passwords in it). It refuses to read the process's
environment: that is given to it.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from batchgen.catalog.catalog import Provider, load_provider
from batchgen.errors import CatalogError
from batchgen.spec.mistakes import Mistakes
from batchgen.spec.schema import DEFAULT_PROVIDER
from batchgen.spec.wording import problem

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_URL = re.compile(r"[\w.~:/?#\[\]@!&'()*+,=%-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A provider and the way to it; `identity` is its name in task ids."""

    provider: Provider
    identity: str
    base_url: str
    key_env: str | None
    proxy: str | None


def find_provider(mistakes: Mistakes) -> Provider:
    """The provider that the job names. An unknown one is noted, and the usual one stands in for it."""
    value = mistakes.document.value
    entry = value.get("provider", DEFAULT_PROVIDER) if isinstance(value, dict) else DEFAULT_PROVIDER
    name = entry.get("name", DEFAULT_PROVIDER) if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        return load_provider(DEFAULT_PROVIDER)
    profile = entry.get("profile") if isinstance(entry, dict) else None
    try:
        provider = load_provider(name)
    except CatalogError as error:
        loc = ("provider", "name") if isinstance(entry, dict) else ("provider",)
        mistakes.add(loc, error.message, error.hint, kind="unknown provider")
        mistakes.damaged.update({"models", "params", "prompts"})
        return load_provider(DEFAULT_PROVIDER)
    try:
        return load_provider(name, profile) if isinstance(profile, str) else provider
    except CatalogError as error:
        mistakes.add(("provider", "profile"), error.message, error.hint, kind="unknown provider")
        mistakes.damaged.update({"models", "params", "prompts"})
        return provider


def locate(provider: Provider, entry: Mapping[str, Any], environment: Mapping[str, str], mistakes: Mistakes) -> Place:
    """Where `provider` is: the job's own `base_url`, else the environment's, else the catalogue's."""
    base_url = provider.base_url
    from_environment = environment.get(provider.base_url_env, "").strip() if provider.base_url_env else ""
    if entry.get("base_url"):
        base_url = entry["base_url"]
        wrong = _wrong_url(base_url)
        if wrong:
            mistakes.add(("provider", "base_url"), f"`base_url` {wrong[0]}", wrong[1], kind="address")
    elif from_environment:
        base_url = from_environment
        wrong = _wrong_url(base_url)
        if wrong:
            mistakes.add_at(problem(str(provider.base_url_env), 0, 0, f"this address {wrong[0]}", wrong[1]))
    proxy = entry.get("proxy")
    if proxy:
        wrong = _wrong_url(proxy, plain=True)
        if wrong:
            mistakes.add(("provider", "proxy"), f"`proxy` {wrong[0]}", wrong[1], kind="address")
        elif base_url.lower().startswith("http:"):
            hint = "take `proxy` out: this machine is reached without one"
            mistakes.add(("provider", "proxy"), "over plain http a proxy would read the key", hint, kind="proxy")
    key_env = entry.get("api_key_env") or provider.key_env
    if key_env and not _NAME.fullmatch(key_env):
        hint = "write the name, such as MODELVERSE_API_KEY, and put the key into the environment"
        mistakes.add(("provider", "api_key_env"), "`api_key_env` must be the name of an environment variable", hint)
    local = is_loopback(base_url) and not provider.embedded
    identity = f"{provider.name}@local" if local else provider.name
    return Place(provider, identity, base_url.rstrip("/"), key_env, proxy)


def is_loopback(url: str) -> bool:
    """Whether an address means this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":  # names below it, and with a dot behind it, are looked up elsewhere on some systems
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong_url(url: str, *, plain: bool = False) -> tuple[str, str] | None:
    """What is wrong with an address, and what to write; never the address itself, which may hold a password."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        good = False
    if not good or not _URL.fullmatch(url):
        return "is not an address", "write it as https://api.modelverse.cn/v1"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password; a job file holds no secrets", "take it out"
    if parts.query or parts.fragment:
        return "must end with its path", "take everything from ? or # on out"
    if parts.scheme == "http" and not plain and not is_loopback(url):
        return "is plain http, which is for this machine only", "write https://"
    return None
