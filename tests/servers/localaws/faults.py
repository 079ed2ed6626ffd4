"""Faults on demand: errors, delays and rate limits for chosen operations."""

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

from .operations import Operation

_THROTTLES = {
    "kms": (400, "ThrottlingException"),
    "s3": (503, "SlowDown"),
    "dks": (429, "Too Many Requests"),
}


class BadFault(ValueError):
    """A fault document that says something we do not understand."""


@dataclass
class Fault:
    """One rule. The fields are those of the control API; see README.md."""

    service: str
    op: str = "*"
    resource: str = ""
    after: int = 0
    count: Optional[int] = 1
    delay: float = 0.0
    status: Optional[int] = None
    code: str = "InternalError"
    message: str = "injected by the test"
    body: Optional[str] = None
    cut: Optional[int] = None
    alter: bool = False
    rate: Optional[float] = None
    burst: int = 1
    id: int = 0
    hits: int = 0
    _tokens: float = field(default=0.0, repr=False)
    _refilled: float = field(default=0.0, repr=False)
    _removed: threading.Event = field(default_factory=threading.Event, repr=False)

    @staticmethod
    def parse(document: object) -> "Fault":
        """Checks a fault document; a typing error must not become a fault that never fires."""
        if not isinstance(document, dict):
            raise BadFault("a fault is a JSON object")
        public = {name for name in Fault.__dataclass_fields__ if not name.startswith("_")}
        unknown = set(document) - (public - {"id", "hits"})
        if unknown:
            raise BadFault(f"unknown field(s): {', '.join(sorted(unknown))}")
        if document.get("service") not in ("s3", "kms", "dks", "*"):
            raise BadFault('service must be "s3", "kms", "dks" or "*"')
        try:
            fault = Fault(**document)
            fault.after, fault.burst = int(fault.after), int(fault.burst)
            fault.delay = float(fault.delay)
            fault.count = None if fault.count is None else int(fault.count)
            fault.status = None if fault.status is None else int(fault.status)
            fault.rate = None if fault.rate is None else float(fault.rate)
            fault.body = None if fault.body is None else str(fault.body)
            fault.cut = None if fault.cut is None else int(fault.cut)
            fault.alter = bool(fault.alter)
        except (TypeError, ValueError) as problem:
            raise BadFault(str(problem)) from problem
        effects = (fault.status, fault.delay > 0 or None, fault.rate, fault.cut, fault.alter or None)
        if all(effect is None for effect in effects):
            raise BadFault("a fault needs a status, a delay, a rate, a cut or an alter")
        if fault.cut is not None and (fault.cut < 0 or fault.status is not None or fault.rate is not None):
            raise BadFault("cut must be a number of bytes, without a status or a rate")
        if fault.rate is not None and (fault.rate <= 0 or fault.burst < 1):
            raise BadFault("rate must be above 0 and burst at least 1")
        if fault.status is not None and not 100 <= fault.status <= 599:
            raise BadFault("status must be an HTTP status")
        fault._tokens = float(fault.burst)
        return fault

    def public(self) -> dict:
        """The fault as the control API shows it."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def matches(self, operation: Operation, resource: str) -> bool:
        return (
            self.service in ("*", operation.service)
            and self.op in ("*", operation.name)
            and self.resource in resource
        )

    def take(self, now: float) -> bool:
        """Whether this matching request is to be hit; the caller holds the lock."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.count is not None and self.hits >= self.count:
            return False
        if self.rate is not None and self._token(now):
            return False
        self.hits += 1
        return True

    def _token(self, now: float) -> bool:
        if self._refilled:
            refill = (now - self._refilled) * self.rate
            self._tokens = min(float(self.burst), self._tokens + refill)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(frozen=True)
class Outcome:
    """The effect on a request: delays in seconds, then perhaps an error, or an answer that breaks off."""

    delays: list[tuple[float, threading.Event]]
    status: Optional[int] = None
    code: str = ""
    message: str = ""
    body: Optional[str] = None
    cut: Optional[int] = None
    alter: bool = False

    def wait(self) -> None:
        """For each delay, or until its fault is removed."""
        for seconds, removed in self.delays:
            removed.wait(seconds)


class Faults:
    """The faults in force, in the order in which they were added. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, document: object) -> int:
        fault = Fault.parse(document)
        with self._lock:
            if fault.rate is not None and "count" not in document:
                fault.count = None
            fault.id = next(self._ids)
            self._faults.append(fault)
            return fault.id

    def clear(self) -> None:
        for fault in self.list():
            self.remove(fault["id"])

    def remove(self, id: int) -> bool:
        """Whether there was such a fault."""
        with self._lock:
            for fault in self._faults:
                if fault.id == id:
                    self._faults.remove(fault)
                    fault._removed.set()
                    return True
            return False

    def list(self) -> list[dict]:
        with self._lock:
            return [fault.public() for fault in self._faults]

    def denies(self, operation: Operation, resource: str) -> bool:
        """Whether such a request would be answered as where IAM does not allow it."""
        with self._lock:
            return any(fault.status == 403 and fault.matches(operation, resource) for fault in self._faults)

    def hit(self, operation: Operation, resource: str) -> Optional[Outcome]:
        """Delays add up; the first fault with an error (or an exceeded rate, or a cut) gives the answer."""
        delays = []
        with self._lock:
            for fault in self._faults:
                if not fault.matches(operation, resource) or not fault.take(self._clock()):
                    continue
                delays.append((fault.delay, fault._removed))
                if fault.rate is not None:
                    status, code = _THROTTLES.get(operation.service, (429, "Throttling"))
                    return Outcome(delays, fault.status or status, code, "Rate exceeded")
                if fault.status is not None:
                    return Outcome(delays, fault.status, fault.code, fault.message, fault.body)
                if fault.cut is not None:
                    return Outcome(delays, cut=fault.cut)
                if fault.alter:
                    return Outcome(delays, alter=True)
            return Outcome(delays) if delays else None
