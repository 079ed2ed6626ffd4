"""Objects in files, for contents that do not fit into memory: as much of S3 as an upload and a download need.

Moto joins the parts of an object in memory, and answers a part of an object from all of it.
"""

import hashlib
import itertools
import pathlib
import threading
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from . import responses
from .operations import Operation

PIECE = 1 << 20
"""Bytes that are read or written at once."""
_META = "HTTP_X_AMZ_META_"


@dataclass
class _Part:
    path: pathlib.Path
    length: int
    etag: str


@dataclass
class _Object:
    """Its content is that of the parts, one after the other."""

    metadata: dict[str, str]
    parts: list[_Part]
    etag: str

    @property
    def length(self) -> int:
        return sum(part.length for part in self.parts)

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """The bytes from `first` to `last`, both included."""
        begin = 0
        for part in self.parts:
            start, end = max(first - begin, 0), min(last + 1 - begin, part.length)
            begin += part.length
            if start >= end:
                continue
            with part.path.open("rb") as file:
                file.seek(start)
                while start < end:
                    piece = file.read(min(PIECE, end - start))
                    start += len(piece)
                    yield piece


@dataclass
class _Upload:
    path: str
    metadata: dict[str, str]
    parts: dict[int, _Part] = field(default_factory=dict)


class FileStore:
    """A WSGI callable for S3, with its content in a folder. Thread-safe."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, _Upload] = {}

    def __call__(self, operation: Operation, environ: dict, start: Callable) -> Iterable[bytes]:
        path = unquote(environ["PATH_INFO"]).lstrip("/")
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        handler = getattr(self, f"_{operation.name}", None)
        if handler is None:
            return responses.error(start, "s3", 501, "NotImplemented", f"{operation.name} with objects in files")
        return handler(environ, start, path, query)

    def _CreateBucket(self, environ, start, path, query):
        _body(environ, lambda piece: None)
        return responses.plain(start, 200, b"", "application/xml")

    def _PutObject(self, environ, start, path, query):
        part = self._store(environ)
        return self._appear(environ, start, path, _Object(_metadata(environ), [part], part.etag), b"")

    def _CreateMultipartUpload(self, environ, start, path, query):
        upload = f"upload-{next(self._numbers)}"
        self._uploads[upload] = _Upload(path, _metadata(environ))
        return _xml(start, "InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")

    def _UploadPart(self, environ, start, path, query):
        part = self._store(environ)
        upload = self._uploads.get(query["uploadId"])
        if upload is None:
            return responses.error(start, "s3", 404, "NoSuchUpload", "The upload does not exist")
        upload.parts[int(query["partNumber"])] = part
        return _answer(start, 200, [("ETag", part.etag)], [b""], 0)

    def _CompleteMultipartUpload(self, environ, start, path, query):
        document = bytearray()
        _body(environ, document.extend)
        upload = self._uploads.get(query["uploadId"])
        if upload is None:
            return responses.error(start, "s3", 404, "NoSuchUpload", "The upload does not exist")
        numbers = [
            int(element.text)
            for element in ElementTree.fromstring(bytes(document)).iter()
            if element.tag.endswith("PartNumber")
        ]
        parts = [upload.parts[number] for number in numbers]
        made = _Object(upload.metadata, parts, f'"{query["uploadId"]}-{len(parts)}"')
        answer = self._appear(environ, start, path, made, b"<CompleteMultipartUploadResult/>")
        self._uploads.pop(query["uploadId"], None)
        return answer

    def _AbortMultipartUpload(self, environ, start, path, query):
        upload = self._uploads.pop(query["uploadId"], None)
        for part in upload.parts.values() if upload else ():
            part.path.unlink()
        return _answer(start, 204, [], [b""], 0)

    def _HeadObject(self, environ, start, path, query):
        found = self._objects.get(path)
        if found is None:
            return responses.error(start, "s3", 404, "NoSuchKey", "The key does not exist", head=True)
        return _answer(start, 200, _headers(found), [], found.length)

    def _GetObject(self, environ, start, path, query):
        found = self._objects.get(path)
        if found is None:
            return responses.error(start, "s3", 404, "NoSuchKey", "The key does not exist")
        if environ.get("HTTP_IF_MATCH", found.etag) != found.etag:
            return responses.error(start, "s3", 412, "PreconditionFailed", "It has another ETag")
        wanted = environ.get("HTTP_RANGE", "").removeprefix("bytes=")
        if not wanted:
            return _answer(start, 200, _headers(found), found.read(0, found.length - 1), found.length)
        first, _, last = wanted.partition("-")
        first, last = int(first), min(int(last or found.length), found.length - 1)
        headers = [*_headers(found), ("Content-Range", f"bytes {first}-{last}/{found.length}")]
        return _answer(start, 206, headers, found.read(first, last), last + 1 - first)

    def _appear(self, environ, start, path, made: _Object, document: bytes):
        with self._lock:
            if environ.get("HTTP_IF_NONE_MATCH") == "*" and path in self._objects:
                return responses.error(start, "s3", 412, "PreconditionFailed", "The object exists")
            self._objects[path] = made
        return _answer(start, 200, [("ETag", made.etag)], [document], len(document))

    def _store(self, environ: dict) -> _Part:
        path = self._folder / str(next(self._numbers))
        digest, length = hashlib.md5(), 0
        with path.open("wb") as file:

            def take(piece: bytes) -> None:
                nonlocal length
                file.write(piece)
                digest.update(piece)
                length += len(piece)

            _body(environ, take)
        return _Part(path, length, f'"{digest.hexdigest()}"')


def _metadata(environ: dict) -> dict[str, str]:
    names = (name for name in environ if name.startswith(_META))
    return {"x-amz-meta-" + name[len(_META) :].lower().replace("_", "-"): environ[name] for name in names}


def _headers(found: _Object) -> list[tuple[str, str]]:
    when = "Mon, 01 Jan 2024 00:00:00 GMT"
    return [("ETag", found.etag), ("Last-Modified", when), ("Accept-Ranges", "bytes"), *found.metadata.items()]


def _answer(start, status: int, headers: list, body: Iterable[bytes], length: int) -> Iterable[bytes]:
    start(f"{status} Status", [*headers, ("Content-Length", str(length))])
    return body


def _xml(start, element: str, content: str) -> Iterable[bytes]:
    return responses.plain(start, 200, f"<{element}>{content}</{element}>".encode(), "application/xml")


def _body(environ: dict, take: Callable[[bytes], None]) -> None:
    """Reads the body of a request piece by piece, without the frame of chunks that the SDKs put around it.

    Source: Amazon S3 API reference, "Signature calculations for the Authorization header: transferring payload in
    multiple chunks".
    """
    source = environ["wsgi.input"]

    def copy(length: int) -> None:
        while length > 0:
            piece = source.read(min(PIECE, length))
            if not piece:
                raise ConnectionError("the body ended early")
            take(piece)
            length -= len(piece)

    if "HTTP_X_AMZ_DECODED_CONTENT_LENGTH" not in environ:
        copy(int(environ.get("CONTENT_LENGTH") or 0))
        return
    while length := int(source.readline().split(b";")[0], 16):
        copy(length)
        source.readline()
    while source.readline().strip():  # checksums
        pass
