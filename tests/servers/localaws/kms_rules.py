"""The checks of AWS KMS that moto leaves out: a key's state and kind, dry runs, the form of a policy.

Moto answers for disabled keys and keys that are pending deletion, and encrypts under the hidden symmetric
half of an RSA key. The errors here are those of the KMS API reference.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Optional

from moto.core import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends

# Moto's ciphertext blobs begin with the key's id.
_KEY_ID_LENGTH = 36

# The request parameters that name the keys that an operation uses.
_KEY_PARAMETERS = {
    "Encrypt": ["KeyId"],
    "GenerateDataKey": ["KeyId"],
    "GenerateDataKeyWithoutPlaintext": ["KeyId"],
    "Decrypt": ["CiphertextBlob"],
    "ReEncrypt": ["CiphertextBlob", "DestinationKeyId"],
}
_ALGORITHM_PARAMETERS = {
    "Encrypt": ["EncryptionAlgorithm"],
    "Decrypt": ["EncryptionAlgorithm"],
    "ReEncrypt": ["SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm"],
}
# Moto takes an ARN here, finds the key, and then fails to look it up by that ARN.
_WANTS_BARE_ID = {"EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion", "GetKeyPolicy", "PutKeyPolicy"}

# Those of the operations below that can be tried without being done.
_DRY_RUNS = {"Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "CreateGrant"}
MAX_POLICY = 32 * 1024
"""Characters of a key policy: AWS KMS API reference, PutKeyPolicy."""


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str


def check(operation: str, region: str, request: dict) -> Optional[Refusal]:
    """The reason to refuse the request, or None. An unknown key is left for moto to report."""
    for parameter in _ALGORITHM_PARAMETERS.get(operation, []):
        if request.get(parameter, "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            return Refusal(
                "UnsupportedOperationException",
                f"localaws has no {request[parameter]}: only SYMMETRIC_DEFAULT",
            )
    for parameter in _KEY_PARAMETERS.get(operation, []):
        key = _key(parameter, request.get(parameter), region)
        refusal = _unusable(key, operation) if key is not None else None
        if refusal is not None:
            return refusal
    if operation == "Decrypt":
        named, used = (_key(name, request.get(name), region) for name in ("KeyId", "CiphertextBlob"))
        if named is not None and used is not None and named.id != used.id:
            return Refusal(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            )
    if operation == "PutKeyPolicy":
        return _bad_policy(request.get("Policy"))
    if request.get("DryRun") is True and operation in _DRY_RUNS:
        return _dry_run(operation, region, request)
    return None


def _dry_run(operation: str, region: str, request: dict) -> Optional[Refusal]:
    """AWS KMS Developer Guide, "Testing your permissions": what would be done fails in a way of its own."""
    named = [name for name in ("KeyId", "DestinationKeyId") if isinstance(request.get(name), str)]
    if any(_key(name, request[name], region) is None for name in named):
        return None  # for moto to report
    if operation == "Decrypt" and "IGNORE_CIPHERTEXT" not in request.get("DryRunModifiers", []):
        if _key("CiphertextBlob", request.get("CiphertextBlob"), region) is None:
            return Refusal("InvalidCiphertextException", "")
    return Refusal(
        "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."
    )


def _bad_policy(policy: object) -> Optional[Refusal]:
    try:
        document = json.loads(policy)
        if len(policy) <= MAX_POLICY and document["Statement"]:
            return None
    except (KeyError, TypeError, ValueError):
        pass
    return Refusal("MalformedPolicyDocumentException", "The policy is not one, or is too long.")


def rewrite_for_moto(operation: str, request: dict) -> bool:
    """Turns a key ARN into the key id where moto mishandles ARNs; whether it changed `request`."""
    key_id = request.get("KeyId")
    if operation not in _WANTS_BARE_ID or not isinstance(key_id, str) or ":key/" not in key_id:
        return False
    request["KeyId"] = key_id.rpartition(":key/")[2]
    return True


def _key(parameter: str, value: object, region: str):
    backend = kms_backends[DEFAULT_ACCOUNT_ID][region]
    if not isinstance(value, str):
        return None
    if parameter == "CiphertextBlob":
        try:
            key_id = base64.b64decode(value)[:_KEY_ID_LENGTH].decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return backend.keys.get(key_id)
    try:
        return backend.keys.get(backend.any_id_to_key_id(value))
    except KeyError:
        return None


def _unusable(key, operation: str) -> Optional[Refusal]:
    if key.key_state == "Disabled":
        return Refusal("DisabledException", f"{key.arn} is disabled.")
    if key.key_state != "Enabled":
        return Refusal("KMSInvalidStateException", f"{key.arn} is {key.key_state}.")
    if key.key_spec != "SYMMETRIC_DEFAULT":
        return Refusal(
            "InvalidKeyUsageException",
            f"{key.arn} has key spec {key.key_spec} and usage {key.key_usage}, "
            f"which {operation} with SYMMETRIC_DEFAULT cannot use.",
        )
    return None
