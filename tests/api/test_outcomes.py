import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.api.dialects import ErrorAnswer, parse_error
from batchgen.api.outcomes import Facts, Kind, Reach, classify

TABLE = [
    (400, "param_error", "Invalid param", Kind.REFUSED, Reach.TASK, "bad_request"),
    (400, "invalid_messages", "Sensitive chat messages", Kind.REFUSED, Reach.TASK, "content_policy"),
    (400, "sensitive_check_error", "Sensitive check error", Kind.REFUSED, Reach.TASK, "content_policy"),
    (400, "model_error", "No permission to use the model", Kind.REFUSED, Reach.MODEL, "permission"),
    (400, "invalid_token", "invalid token", Kind.REFUSED, Reach.PROVIDER, "key"),
    (401, "auth_error", "Validate Certification failed", Kind.REFUSED, Reach.PROVIDER, "key"),
    (402, "", "", Kind.REFUSED, Reach.PROVIDER, "quota"),
    (403, "forbidden", "Access forbidden: api key quota exceeded", Kind.REFUSED, Reach.PROVIDER, "quota"),
    (403, "forbidden", "Access forbidden: api key ip not in whitelist", Kind.REFUSED, Reach.MODEL, "permission"),
    (404, "", "not found", Kind.REFUSED, Reach.TASK, "not_found"),
    (408, "timeout", "Request timeout, please try again later", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (422, "", "unprocessable", Kind.REFUSED, Reach.TASK, "bad_request"),
    (429, "rate_limit", "Rate limit exceeded", Kind.REFUSED, Reach.RETRY, "rate_limited"),
    (429, "insufficient_quota", "You exceeded your current quota", Kind.REFUSED, Reach.PROVIDER, "quota"),
    (429, "", "Rate quota exceeded: 60 requests per minute", Kind.REFUSED, Reach.RETRY, "rate_limited"),
    (503, "", "moderation service is overloaded, please retry", Kind.REFUSED, Reach.RETRY, "overloaded"),
    (500, "", "content moderation timed out after generation", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (500, "internal_error", "Internal Server Error", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (500, "model_server_error", "Request llm server Error", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (502, "", "Bad Gateway", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (503, "", "overloaded", Kind.REFUSED, Reach.RETRY, "overloaded"),
    (504, "gateway_timeout_error", "Gateway timeout", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (307, "", "", Kind.REFUSED, Reach.PROVIDER, "moved"),
    (204, "", "", Kind.UNKNOWN, Reach.TASK, "server_error"),
    (999, "", "", Kind.UNKNOWN, Reach.TASK, "server_error"),
]


@pytest.mark.parametrize(("status", "code", "message", "kind", "reach", "reason"), TABLE)
def test_each_documented_error_has_its_class(
    status: int, code: str, message: str, kind: Kind, reach: Reach, reason: str
) -> None:
    outcome = classify(Facts(sent=True, complete=True, status=status, error=ErrorAnswer(code=code, message=message)))

    assert (kind, reach, reason) == (outcome.kind, outcome.reach, outcome.reason)


def test_moderation_inside_a_500_is_a_refusal_and_not_an_unknown_outcome() -> None:
    nested = json.dumps({"code": 4, "description": "May contain sensitive words", "type": "upstream_error"})
    body = json.dumps(
        {
            "error": {
                "code": "model_server_error",
                "type": "internal_error",
                "message": f"[trace_id: x] Request llm server Error: server error, status code: 500, err: {nested}",
            }
        }
    )

    outcome = classify(Facts(sent=True, complete=True, status=500, error=parse_error(body.encode())))

    assert (outcome.kind, outcome.reason) == (Kind.REFUSED, "content_policy")


def test_what_never_left_is_free_and_what_left_without_an_answer_is_not() -> None:
    assert Kind.NOT_SENT is classify(Facts(sent=False, complete=False)).kind
    assert Kind.UNKNOWN is classify(Facts(sent=True, complete=False)).kind
    assert Kind.UNKNOWN is classify(Facts(sent=True, complete=False, status=200)).kind
    assert Kind.UNKNOWN is classify(Facts(sent=True, complete=False, status=400)).kind


def test_an_untrusted_certificate_stops_the_provider_before_anything_is_sent() -> None:
    outcome = classify(Facts(sent=False, complete=False, certificate=True, trouble="not trusted"))

    assert (outcome.kind, outcome.reach) == (Kind.NOT_SENT, Reach.PROVIDER)


def test_a_shortage_of_files_on_this_machine_is_free_and_says_nothing_of_the_provider() -> None:
    outcome = classify(Facts(sent=False, complete=False, no_files=True, trouble="too many open files"))

    assert (outcome.kind, outcome.reach, outcome.reason) == (Kind.NOT_SENT, Reach.RETRY, "too_many_files")


words = st.sampled_from(["", "rate_limit", "auth_error", "sensitive words", "quota exceeded", "timeout", "x", "nsfw"])


@given(st.booleans(), st.booleans(), st.none() | st.integers(100, 999), words, words, words)
def test_every_combination_has_one_class_and_doubt_about_money_is_never_free(
    sent: bool, complete: bool, status: int | None, code: str, kind_of_error: str, message: str
) -> None:
    error = ErrorAnswer(code=code, type=kind_of_error, message=message)
    outcome = classify(Facts(sent=sent, complete=complete, status=status, error=error))

    if sent and not complete:
        assert outcome.kind is Kind.UNKNOWN
    if sent and complete and status is not None and 200 <= status < 300 and status != 204:
        assert outcome.kind is Kind.BILLED
    if outcome.kind in {Kind.UNKNOWN, Kind.BILLED}:
        assert outcome.reach is not Reach.RETRY
    if not sent:
        assert outcome.kind is Kind.NOT_SENT


def test_every_kind_is_reached() -> None:
    reached = {
        classify(Facts(sent=sent, complete=complete, status=status)).kind
        for sent, complete, status in itertools.product((True, False), (True, False), (None, 200, 400, 500))
    }

    assert set(Kind) == reached
