"""The control API under /__control/: JSON in, JSON out. README.md lists it."""

import json
from typing import Callable, Iterable

from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends

from . import responses, s3_rules
from .data_key_service import DataKeyService
from .faults import BadFault, Faults

PREFIX = "/__control/"


class Control:
    """Routes the control requests. `calls` needs `counts()` and `clear()`."""

    def __init__(self, faults: Faults, calls, data_key_service: DataKeyService) -> None:
        self._faults = faults
        self._calls = calls
        self._data_key_service = data_key_service

    def __call__(self, environ: dict, start: Callable, body: bytes) -> Iterable[bytes]:
        what = environ["PATH_INFO"][len(PREFIX) :]
        route = f"{environ['REQUEST_METHOD']} {what}"
        if route == "GET health":
            return responses.as_json(start, {"status": "ok"})
        if route == "GET calls":
            return responses.as_json(start, self._calls.counts())
        if route == "DELETE calls":
            self._calls.clear()
            return responses.as_json(start, {})
        if route == "GET faults":
            return responses.as_json(start, self._faults.list())
        if route == "DELETE faults":
            self._faults.clear()
            return responses.as_json(start, {})
        if route.startswith("DELETE faults/"):
            return self._remove_fault(start, what.removeprefix("faults/"))
        if route == "POST faults":
            return self._add_fault(start, body)
        if route == "POST data-key-service":
            return self._start_data_key_service(start, body)
        if route == "DELETE data-key-service":
            self._data_key_service.stop()
            return responses.as_json(start, {})
        if route == "POST data-key-service/rotate":
            return responses.as_json(start, {"keyId": self._data_key_service.rotate()})
        if route == "POST requester-pays":
            s3_rules.REQUESTER_PAYS.add(json.loads(body)["bucket"])
            return responses.as_json(start, {})
        if route == "POST object":
            s3_rules.change(**json.loads(body))
            return responses.as_json(start, {})
        if route == "DELETE data":
            _wipe()
            return responses.as_json(start, {})
        return responses.as_json(start, {"error": f"no such control request: {route}"}, 404)

    def _start_data_key_service(self, start: Callable, body: bytes) -> Iterable[bytes]:
        try:
            return responses.as_json(start, self._data_key_service.start(**json.loads(body or b"{}")))
        except (TypeError, ValueError) as problem:
            return responses.as_json(start, {"error": str(problem)}, 400)

    def _remove_fault(self, start: Callable, id: str) -> Iterable[bytes]:
        if not id.isdecimal() or not self._faults.remove(int(id)):
            return responses.as_json(start, {"error": f"no such fault: {id}"}, 404)
        return responses.as_json(start, {})

    def _add_fault(self, start: Callable, body: bytes) -> Iterable[bytes]:
        try:
            return responses.as_json(start, {"id": self._faults.add(json.loads(body))})
        except BadFault as problem:
            return responses.as_json(start, {"error": str(problem)}, 400)
        except ValueError:
            return responses.as_json(start, {"error": "the body is not JSON"}, 400)


def _wipe() -> None:
    """Forgets every bucket, object and KMS key."""
    s3_rules.REQUESTER_PAYS.clear()
    for backends in (s3_backends, kms_backends):
        for backend in backends[DEFAULT_ACCOUNT_ID].values():
            backend.reset()
