"""Names the AWS operation of an HTTP request, for counting and for faults."""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

KMS_TARGET_PREFIX = "TrentService."

# They name the operation in the body; only who answers matters here.
_QUERY_SERVICES = {"sts", "iam"}

_BUCKET_OPERATIONS = {
    "PUT": "CreateBucket",
    "HEAD": "HeadBucket",
    "DELETE": "DeleteBucket",
}
# By what the query names, of buckets and of objects.
_BUCKET_SETTINGS = {
    "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "versioning": "BucketVersioning",
}
_OBJECT_SETTINGS = {
    "acl": "ObjectAcl",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}
_OBJECT_OPERATIONS = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
}


@dataclass(frozen=True)
class Operation:
    """`service` is "s3", "kms" or "other"; `name` is the API's name, such as "GetObject"."""

    service: str
    name: str

    def __str__(self) -> str:
        return f"{self.service}.{self.name}"


def identify(environ: dict) -> Operation:
    """The operation that a WSGI request asks for."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target.startswith(KMS_TARGET_PREFIX):
        return Operation("kms", target[len(KMS_TARGET_PREFIX) :])
    if target:
        return Operation("other", target.rpartition(".")[2])
    if _scope(environ, 3) in _QUERY_SERVICES:
        return Operation("other", _scope(environ, 3))
    return Operation("s3", _s3_operation(environ))


def _s3_operation(environ: dict) -> str:
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    if not key:
        if method == "POST":
            return "DeleteObjects" if "delete" in query else "PostObject"
        setting = next((name for name in _BUCKET_SETTINGS if name in query), None)
        if setting and method in ("GET", "PUT", "DELETE"):
            return method.capitalize() + _BUCKET_SETTINGS[setting]
        if method == "GET":
            if "uploads" in query:
                return "ListMultipartUploads"
            return "ListObjectsV2" if "list-type" in query else "ListObjects"
        return _BUCKET_OPERATIONS.get(method, method)
    if "uploadId" in query:
        if method == "PUT":
            copied = "HTTP_X_AMZ_COPY_SOURCE" in environ
            return "UploadPartCopy" if copied else "UploadPart"
        return {
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
        }.get(method, "ListParts")
    if method == "POST" and "uploads" in query:
        return "CreateMultipartUpload"
    setting = next((name for name in _OBJECT_SETTINGS if name in query), None)
    if setting and method in ("GET", "PUT", "DELETE"):
        return method.capitalize() + _OBJECT_SETTINGS[setting]
    if method == "PUT":
        return "CopyObject" if "HTTP_X_AMZ_COPY_SOURCE" in environ else "PutObject"
    return _OBJECT_OPERATIONS.get(method, method)


def region(environ: dict) -> str:
    """The region that the request was signed for; us-east-1 for an unsigned one."""
    return _scope(environ, 2) or "us-east-1"


def _scope(environ: dict, part: int) -> str:
    """A part of what the request was signed for; empty for an unsigned one."""
    # Authorization: AWS4-HMAC-SHA256 Credential=AKID/20240101/eu-west-1/kms/aws4_request, ...
    _, _, credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")
    scope = credential.partition(",")[0].split("/")
    return scope[part] if len(scope) >= 5 else ""


def s3_resource(environ: dict) -> str:
    """"bucket/key" of an S3 request, percent-decoded."""
    return unquote(environ["PATH_INFO"]).lstrip("/")
