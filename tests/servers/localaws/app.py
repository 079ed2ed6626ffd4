"""The WSGI application: control API, counting, faults, our own checks, then moto."""

import collections
import io
import json
import pathlib
import threading
import traceback
from typing import Callable, Iterable

from moto.server import DomainDispatcherApplication, create_backend_app

from . import kms_rules, operations, responses, s3_rules
from .control import PREFIX, Control
from .data_key_service import DataKeyService
from .faults import Faults
from .files import FileStore


class Calls:
    """How often each operation was asked for, faults included. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: collections.Counter = collections.Counter()

    def add(self, operation: operations.Operation) -> None:
        with self._lock:
            self._counts[str(operation)] += 1

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()


class Application:
    """One WSGI callable for S3, KMS and the control API."""

    def __init__(self, files: pathlib.Path | None = None) -> None:
        self.faults = Faults()
        self.calls = Calls()
        self._files = FileStore(files) if files else None
        service = DataKeyService(self.faults, self.calls.add)
        self._control = Control(self.faults, self.calls, service)
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict, start: Callable) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PREFIX):
            return self._control(environ, start, _take_body(environ))
        # The path as sent: "%2F" and "//" in object names must reach moto unchanged.
        environ.setdefault("RAW_URI", environ.get("REQUEST_URI", environ["PATH_INFO"]))
        operation = operations.identify(environ)
        self.calls.add(operation)
        request, resource = {}, ""
        if operation.service == "kms":
            request = _kms_request(environ)
            resource = _kms_resource(request)
            if kms_rules.rewrite_for_moto(operation.name, request):
                _put_body(environ, json.dumps(request).encode())
        elif operation.service == "s3":
            resource = operations.s3_resource(environ)

        head = environ["REQUEST_METHOD"] == "HEAD"
        if head and self.faults.denies(operations.Operation("s3", "GetObjectTagging"), resource):
            # S3 counts the tags only for callers that may read them.
            start = responses.without(start, "x-amz-tagging-count")
        outcome = self.faults.hit(operation, resource)
        if outcome is not None:
            outcome.wait()
            if outcome.status is not None:
                _take_body(environ)  # an unread body would be taken for the next request
                return responses.error(
                    start, operation.service, outcome.status, outcome.code, outcome.message, head
                )
            if outcome.alter:
                s3_rules.alter(environ, _take_body(environ))
            if outcome.cut is not None:
                return responses.cut(self._moto(environ, responses.promising(start)), outcome.cut)
        if operation.service == "kms":
            refusal = kms_rules.check(operation.name, operations.region(environ), request)
            if refusal is not None:
                return responses.error(start, "kms", 400, refusal.code, refusal.message)
        elif operation.service == "s3" and s3_rules.locks_until_the_past(environ):
            _take_body(environ)
            told = "The retain until date must be in the future!"
            return responses.error(start, "s3", 400, "InvalidArgument", told)
        elif operation.service == "s3" and (
            code := s3_rules.wrong_digest(operation.name, environ, lambda: _take_body(environ))
        ):
            return responses.error(start, "s3", 400, code, "The body is not what its digest says")
        elif operation.service == "s3" and s3_rules.wants_a_payer(environ):
            _take_body(environ)
            return responses.error(start, "s3", 403, "AccessDenied", "Access Denied", head)
        elif operation.service == "s3" and s3_rules.has_no_lock(operation.name, environ):
            told = "The specified object does not have a ObjectLock configuration"
            return responses.error(start, "s3", 404, "NoSuchObjectLockConfiguration", told)
        elif s3_rules.metadata_too_large(operation.name, environ):
            _take_body(environ)
            return responses.error(
                start,
                "s3",
                400,
                "MetadataTooLarge",
                "Your metadata headers exceed the maximum allowed metadata size",
            )
        try:
            if operation.service == "s3" and self._files:
                return self._files(operation, environ, start)
            if operation.service == "s3" and s3_rules.is_conditional_write(operation.name, environ):
                with s3_rules.CONDITIONAL_WRITES:
                    if s3_rules.condition_fails(operation.name, environ):
                        _take_body(environ)
                        return responses.error(
                            start, "s3", 412, "PreconditionFailed", "At least one of the pre-conditions did not hold"
                        )
                    return self._moto(environ, start)
            return self._moto(environ, start)
        except Exception:  # a defect of moto's: an answer that says so, not a dropped connection
            traceback.print_exc()
            return responses.error(
                start, operation.service, 500, "InternalFailure", f"moto failed in {operation}", head
            )


def _take_body(environ: dict) -> bytes:
    """Reads the whole body and leaves a copy behind for whoever comes next."""
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body = environ["wsgi.input"].read()
    else:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _put_body(environ: dict, body: bytes) -> None:
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def _kms_request(environ: dict) -> dict:
    try:
        document = json.loads(_take_body(environ) or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _kms_resource(request: dict) -> str:
    names = (request.get(name) for name in ("KeyId", "DestinationKeyId", "AliasName"))
    return " ".join(name for name in names if isinstance(name, str))
