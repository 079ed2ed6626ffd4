"""The rules of Amazon S3 that moto does not follow.

It bounds the size of the user metadata, decides a conditional write or copy and does it in one step, and locks no
object until a time that is past.
"""

import base64
import hashlib
import io
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

MAX_USER_METADATA = 2048
"""Bytes of all names (without "x-amz-meta-") and values together: "Working with object metadata",
Amazon S3 user guide."""

_PREFIX = "HTTP_X_AMZ_META_"
_WRITES = {"PutObject", "CreateMultipartUpload", "CopyObject"}


def metadata_size(environ: dict) -> int:
    """The size of the request's user metadata in bytes, as S3 counts it."""
    return sum(
        len(name) - len(_PREFIX) + len(value.encode("latin-1"))  # WSGI strings are latin-1
        for name, value in environ.items()
        if name.startswith(_PREFIX)
    )


def metadata_too_large(operation: str, environ: dict) -> bool:
    """Whether S3 would answer MetadataTooLarge."""
    return operation in _WRITES and metadata_size(environ) > MAX_USER_METADATA


CONDITIONAL_WRITES = threading.Lock()
"""Held while a conditional write is decided and done: moto compares first and writes later, so that of two writers
both could win. "Prevent object overwrites with conditional writes", Amazon S3 user guide."""


def is_conditional_write(operation: str, environ: dict) -> bool:
    """Whether the request writes only where the object is absent, or as it was."""
    return operation in {"PutObject", "CompleteMultipartUpload", *_COPIES} and (
        any(
            name in environ
            for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", _SOURCE_IF_MATCH, _SOURCE_IF_UNMODIFIED)
        )
    )


_COPIES = {"CopyObject", "UploadPartCopy"}
_SOURCE_IF_MATCH = "HTTP_X_AMZ_COPY_SOURCE_IF_MATCH"
_SOURCE_IF_UNMODIFIED = "HTTP_X_AMZ_COPY_SOURCE_IF_UNMODIFIED_SINCE"
_RETAIN_UNTIL = "HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE"


def locks_until_the_past(environ: dict) -> bool:
    """Whether S3 would answer that "the retain until date must be in the future"."""
    if "HTTP_X_AMZ_COPY_SOURCE" in environ:
        # S3 wants a checksum with the upload of a locked object, moto with a copy too, which has nothing to be summed.
        environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "CRC32")
    text = environ.get(_RETAIN_UNTIL)
    return text is not None and datetime.fromisoformat(text.replace("Z", "+00:00")) <= datetime.now(timezone.utc)


_UPLOADS = {"PutObject", "UploadPart"}
_CHECKSUMS = ("HTTP_X_AMZ_CHECKSUM_SHA256", "HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "HTTP_X_AMZ_CONTENT_SHA256")


def alter(environ: dict, body: bytes) -> None:
    """Has an upload be stored with another byte in its middle, by a store that knows of no checksums."""
    middle = len(body) // 2
    environ["wsgi.input"] = io.BytesIO(body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])
    for name in _CHECKSUMS:
        environ.pop(name, None)


def wrong_digest(operation: str, environ: dict, body: Callable[[], bytes]) -> str | None:
    """The error of S3 where a body is not of the SHA-256 of its signature or its checksum; moto looks at neither."""
    signed = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    checksum = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
    if operation not in _UPLOADS or not (len(signed) == 64 or checksum):
        return None
    digest = hashlib.sha256(body()).digest()
    if len(signed) == 64 and signed != digest.hex():
        return "XAmzContentSHA256Mismatch"
    return "BadDigest" if checksum and checksum != base64.b64encode(digest).decode() else None


REQUESTER_PAYS: set[str] = set()
"""Buckets whose owner has the requester pay; moto knows none. "Requester Pays buckets", Amazon S3 user guide."""


def wants_a_payer(environ: dict) -> bool:
    """Whether S3 would refuse the request, because the caller does not say that it pays."""
    bucket = environ["PATH_INFO"].lstrip("/").partition("/")[0]
    return bucket in REQUESTER_PAYS and environ.get("HTTP_X_AMZ_REQUEST_PAYER") != "requester"


def has_no_lock(operation: str, environ: dict) -> bool:
    """Whether S3 would answer that the object has no such lock. "GetObjectRetention", Amazon S3 API reference."""
    field = {"GetObjectRetention": "lock_mode", "GetObjectLegalHold": "lock_legal_status"}.get(operation)
    found = field and _find(environ["PATH_INFO"].encode("latin-1").decode())
    return bool(found) and not getattr(found, field, None)


def condition_fails(operation: str, environ: dict) -> bool:
    """Whether a copy, or the end of an upload in parts, is on a condition that does not hold; moto ignores them.

    "CopyObject", "CompleteMultipartUpload", Amazon S3 API reference.
    """
    if operation not in {*_COPIES, "CompleteMultipartUpload"}:
        return False
    source, _, query = environ.get("HTTP_X_AMZ_COPY_SOURCE", "").partition("?")
    version = query.removeprefix("versionId=") or None
    of = _find(unquote(source), version and unquote(version))
    target = environ["PATH_INFO"].encode("latin-1").decode()  # WSGI strings are latin-1
    there = _find(target)
    conditions = [(environ.get(_SOURCE_IF_MATCH), of), (environ.get("HTTP_IF_MATCH"), there)]
    if any(wanted is not None and (found is None or wanted != found.etag) for wanted, found in conditions):
        return True
    if environ.get("HTTP_IF_NONE_MATCH") == "*" and there is not None:
        return True
    # Where the ETag is asked for as well and is right, S3 does not look at the time.
    since = environ.get(_SOURCE_IF_UNMODIFIED)
    return (
        since is not None
        and _SOURCE_IF_MATCH not in environ
        and of is not None
        and of.last_modified.replace(microsecond=0, tzinfo=timezone.utc) > parsedate_to_datetime(since)
    )


def change(bucket: str, key: str, modified: float | None = None, locked_until: str | None = None) -> None:
    """Moves the time of the writing (in seconds since 1970) or the end of the lock, so that no test has to wait."""
    found = _find(f"{bucket}/{key}")
    if modified is not None:
        found.last_modified = datetime.fromtimestamp(modified, timezone.utc).replace(tzinfo=None)
    if locked_until is not None:
        found.lock_until = locked_until


def _find(path: str, version: str | None = None):
    """The object, or that version of it; None if it does not exist, or is a delete marker."""
    bucket, _, key = path.lstrip("/").partition("/")
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket)
    if not found:
        return None
    versions = found.keys.getlist(key, default=[])
    if version is not None:
        versions = [one for one in versions if one.version_id == version]
    return versions[-1] if versions and hasattr(versions[-1], "etag") else None
