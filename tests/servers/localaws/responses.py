"""Error answers in the form that S3 and KMS give them, and answers that break off."""

import errno
import json
from typing import Callable, Iterable
from xml.sax.saxutils import escape

REQUEST_ID = "00000000-0000-4000-8000-000000000000"

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def plain(start: Callable, status: int, body: bytes, content_type: str) -> Iterable[bytes]:
    """Answers with exactly these bytes."""
    start(
        f"{status} {_REASONS.get(status, 'Status')}",
        [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("x-amzn-RequestId", REQUEST_ID),
            ("x-amz-request-id", REQUEST_ID),
        ],
    )
    return [body]


def as_json(start: Callable, document: object, status: int = 200) -> Iterable[bytes]:
    """Answers with a JSON document (the control API)."""
    return plain(start, status, json.dumps(document).encode(), "application/json")


def cut(body: Iterable[bytes], length: int) -> Iterable[bytes]:
    """So many bytes of a body, and then the end of the connection."""
    try:
        for piece in body:
            yield piece[:length]
            length -= len(piece)
            if length <= 0:
                break
    finally:
        getattr(body, "close", lambda: None)()
    # The server closes the connection on it, without a word.
    raise ConnectionResetError(errno.ECONNRESET, "cut by a fault")


def promising(start: Callable) -> Callable:
    """`start`, for an answer that is to break off: an empty body is announced as one that is not."""
    def begin(status, headers, *more):
        empty = ("content-length", "0")
        longer = [(name, "1" if (name.lower(), value) == empty else value) for name, value in headers]
        return start(status, longer, *more)

    return begin


def without(start: Callable, name: str) -> Callable:
    """`start`, without a header of that name (in lower case)."""
    return lambda status, headers, *more: start(status, [one for one in headers if one[0].lower() != name], *more)


def error(
    start: Callable, service: str, status: int, code: str, message: str, head: bool = False
) -> Iterable[bytes]:
    """Answers with an AWS error. A HEAD request gets no body, as HTTP demands."""
    if service == "s3":
        document = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
            f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
            f"<RequestId>{REQUEST_ID}</RequestId></Error>"
        )
        body = b"" if head else document.encode()
        return plain(start, status, body, "application/xml")
    document = json.dumps({"__type": code, "message": message})
    return plain(start, status, document.encode(), "application/x-amz-json-1.1")
