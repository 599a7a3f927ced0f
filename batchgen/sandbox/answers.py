"""The bodies of answers: the documented success shape and every error row, word for word as clients meet them.

It refuses to decide when an error is given; `faults` and `server` do that.
"""

import json
import uuid
from dataclasses import dataclass
from typing import Any

HTML_ERROR = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class RefusalError(Exception):
    """A request that is answered with an error: the row of `ERRORS` to use and, where it helps, what is wrong."""

    def __init__(self, row: str, detail: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(detail or row)
        self.row = row
        self.detail = detail
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One kind of error answer. `{trace}` in the message becomes a UUID; `detail` follows the message after a colon."""

    status: int
    type: str
    code: str
    message: str


_BAD = "invalid_request_error"
_UPSTREAM_MODERATION = (
    "[trace_id: {trace}] Request llm server Error: server error, status code: 500, err: "
    '{{"code":4,"description":"May contain sensitive words","type":"upstream_error"}}'
)
_QUOTA = (
    "Access forbidden: api key quota exceeded, key_id=sandbox, daily_limit_amount=10.00, monthly_limit_amount=100.00"
)

ERRORS = {
    "400": ErrorRow(400, _BAD, "param_error", "Invalid param"),
    "400-content": ErrorRow(400, _BAD, "invalid_messages", "Sensitive chat messages"),
    "400-sensitive": ErrorRow(400, _BAD, "sensitive_check_error", "Sensitive check error"),
    "400-permission": ErrorRow(400, _BAD, "model_error", "[trace_id: {trace}] No permission to use the model"),
    "400-quota": ErrorRow(400, "permission_error", "forbidden", _QUOTA),
    "401": ErrorRow(401, _BAD, "auth_error", "Validate Certification failed"),
    "402": ErrorRow(402, "permission_error", "insufficient_balance", "Insufficient balance"),
    "403-quota": ErrorRow(403, "permission_error", "forbidden", _QUOTA),
    "403-permission": ErrorRow(
        403,
        "permission_error",
        "forbidden",
        "Access forbidden: api key ip not in whitelist, key_id=sandbox, ip=127.0.0.1",
    ),
    "404": ErrorRow(404, _BAD, "not_found", "Not found"),
    "408": ErrorRow(408, "timeout", "timeout", "Request timeout, please try again later"),
    "429": ErrorRow(429, "rate_limit_error", "rate_limit", "Rate limit exceeded, please try again later"),
    "500": ErrorRow(500, "internal_error", "internal_error", "Internal Server Error"),
    "500-upstream": ErrorRow(500, "internal_error", "model_server_error", "Request llm server Error"),
    "500-moderation": ErrorRow(500, "internal_error", "model_server_error", _UPSTREAM_MODERATION),
    "503": ErrorRow(503, "internal_error", "service_unavailable", "Service is busy, please try again later"),
    "504": ErrorRow(
        504, "timeout", "gateway_timeout_error", "Gateway timeout, please try again later or use stream api"
    ),
}
"""Rows by the name that a fault gives them. 402, 404 and 503 stand in no table of the service: the shape is the page's."""


def error_body(row: ErrorRow, detail: str = "", request_id: str | None = None) -> dict[str, Any]:
    """The documented error object; `error.param` is the request's id."""
    message = row.message.format(trace=uuid.uuid4())
    return {
        "error": {
            "message": f"{message}: {detail}" if detail else message,
            "type": row.type,
            "param": request_id or str(uuid.uuid4()),
            "code": row.code,
        }
    }


def success_body(created: int, data: list[dict[str, Any]]) -> dict[str, Any]:
    """The documented success object around one item per picture."""
    return {"created": created, "data": data, "usage": {"input_tokens_details": {}}}


def as_bytes(body: dict[str, Any]) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
