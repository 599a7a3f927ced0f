"""What a paid call's end means for money and for what happens next: one pure, table-driven function.

Four kinds and no fifth: not sent (free), refused (a complete error answer, free), unknown (sent, and nothing tells:
maybe billed), billed (a complete success answer, even an unusable one). It refuses to act: the engine does that.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.api.dialects import ErrorAnswer


class Kind(StrEnum):
    """How a paid call ended, as far as money is concerned."""

    NOT_SENT = "not_sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    BILLED = "billed"


class Reach(StrEnum):
    """How far a refusal goes: nothing (try again later, free), this task, this model, or the whole provider."""

    RETRY = "retry"
    TASK = "task"
    MODEL = "model"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a call has ended.

    `sent` says whether any of the request left; `status` and `error` are those of a complete answer, `status` alone of
    one that was cut; `complete` says whether the whole answer arrived; `trouble` is the transport's own words.
    """

    sent: bool
    complete: bool
    status: int | None = None
    error: ErrorAnswer = field(default_factory=ErrorAnswer)
    trouble: str = ""
    certificate: bool = False
    """Whether the connection failed because the server's certificate is not trusted."""
    no_files: bool = False
    """Whether the connection failed because this process may open no more files."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The class of a call's end; `reason` is a stable word for tables, `message` is for people."""

    kind: Kind
    reach: Reach
    reason: str
    message: str
    request_id: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A refusal is recognised by any one of: its status, its code or type, or words in its message."""

    reach: Reach
    reason: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()

    def fits(self, status: int, codes: set[str], words: str) -> bool:
        return status in self.statuses or bool(codes & self.codes) or any(word in words for word in self.words)


# The first rule that fits decides. Codes say the same thing in the provider's tables of different years, and in other
# providers' tables; words are needed where moderation hides in a 500 and quota or permission in a 400.
_RULES = (
    _Rule(
        Reach.PROVIDER,
        "quota",
        frozenset({402}),
        frozenset({"insufficient_quota", "insufficient_balance", "billing_hard_limit_reached", "accountoverdueerror"}),
        ("quota exceeded", "insufficient balance", "insufficient quota", "billing hard limit", "in arrears"),
    ),
    _Rule(
        Reach.PROVIDER,
        "key",
        frozenset({401}),
        frozenset({"auth_error", "invalid_token", "invalid_api_key", "unauthorized", "authentication_error"}),
        ("validate certification failed", "invalid api key", "incorrect api key"),
    ),
    _Rule(
        Reach.TASK,
        "content_policy",
        codes=frozenset(
            {
                "invalid_messages",
                "sensitive_check_error",
                "moderation_blocked",
                "content_policy_violation",
                "content_filter",
            }
        ),
        words=("sensitive", "moderated", "content policy", "content_policy", "nsfw"),
    ),
    _Rule(
        Reach.RETRY,
        "rate_limited",
        frozenset({429}),
        frozenset({"rate_limit", "rate_limit_exceeded", "too_many_requests"}),
    ),
    _Rule(Reach.RETRY, "overloaded", frozenset({503, 529}), frozenset({"serveroverloaded"})),
    _Rule(
        Reach.MODEL,
        "permission",
        frozenset({403}),
        frozenset({"permission_error"}),
        ("no permission to use the model", "not support model", "not in whitelist", "access forbidden"),
    ),
    _Rule(
        Reach.TASK, "not_found", frozenset({404}), frozenset({"invalid_model", "model_not_found", "model_not_exist"})
    ),
    _Rule(Reach.PROVIDER, "moved", frozenset(range(300, 400))),
    _Rule(Reach.TASK, "bad_request", frozenset(range(400, 500)) - {408}),
)
_FOR_NOW = frozenset({429, 503, 529})
_NOBODY_KNOWS = _Rule(Reach.TASK, "server_error")


def classify(facts: Facts) -> Outcome:
    """The one class of a call that ended with `facts`; any doubt about money becomes `Kind.UNKNOWN`."""
    if not facts.sent:
        reach = Reach.PROVIDER if facts.certificate else Reach.RETRY
        reason = "certificate" if facts.certificate else "too_many_files" if facts.no_files else "not_reached"
        return Outcome(Kind.NOT_SENT, reach, reason, facts.trouble or "the connection failed")
    if not facts.complete:
        seen = f" (status {facts.status} seen)" if facts.status else ""
        return _outcome(facts, Kind.UNKNOWN, Reach.TASK, "no_answer", (facts.trouble or "no complete answer") + seen)
    status = facts.status or 0
    if 200 <= status < 300 and status != 204:
        return _outcome(facts, Kind.BILLED, Reach.TASK, "billed", "")
    # "Slow down" and "busy" are said in many words, which mean no more than the status does.
    words = "" if status in _FOR_NOW else f"{facts.error.message} {facts.error.nested}".lower()
    codes = {facts.error.code.lower(), facts.error.type.lower()}
    rule = next((rule for rule in _RULES if rule.fits(status, codes, words)), _NOBODY_KNOWS)
    kind = Kind.UNKNOWN if rule is _NOBODY_KNOWS else Kind.REFUSED
    message = facts.error.message or f"HTTP status {status} without a message"
    return _outcome(facts, kind, rule.reach, rule.reason, message)


def _outcome(facts: Facts, kind: Kind, reach: Reach, reason: str, message: str) -> Outcome:
    return Outcome(kind, reach, reason, message, facts.error.request_id, facts.status)
