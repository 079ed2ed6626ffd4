"""What Amazon S3 checks of a request and moto does not: the size of the user metadata."""

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
