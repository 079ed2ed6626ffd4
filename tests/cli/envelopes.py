"""Objects as the S3 encryption clients store them.

Other code than ours makes and opens them here: `cryptography`, after the clients' sources.
"""

import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

GCM = "AES/GCM/NoPadding"
FORMATS = ("encryption-only", "v1", "v2", "v4")
"""Whose objects: the SDK v1 in EncryptionOnly mode, its first client otherwise, its second (and S3EC 3), S3EC 4."""
OAEP_SHA1 = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
OAEP_SHA256 = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA256(), None)


FINGERPRINT = b"emrkeys-fingerprint/1 "
"""Source: docs/formats.md, "Fingerprints"."""


def _64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Aes:
    """A key-encryption key."""

    def __init__(self, key: bytes):
        self.key = key

    def fingerprint(self) -> str:
        return "fp1-" + hmac.digest(self.key, FINGERPRINT + b"aes", "sha256")[:16].hex()

    def wrap(self, how: str, data_key: bytes, binding: str) -> tuple[str, bytes]:
        if how == "encryption-only":
            padder = padding.PKCS7(128).padder()
            ecb = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
            return "AES", ecb.update(padder.update(data_key) + padder.finalize())
        if how == "v1":
            return "AESWrap", aes_key_wrap(self.key, data_key)
        iv = os.urandom(12)
        return "AES/GCM", iv + AESGCM(self.key).encrypt(iv, data_key, binding.encode())

    def unwrap(self, wrap: str, wrapped: bytes, binding: str) -> bytes:
        if wrap == "AES":
            unpadder = padding.PKCS7(128).unpadder()
            ecb = Cipher(algorithms.AES(self.key), modes.ECB()).decryptor()
            return unpadder.update(ecb.update(wrapped)) + unpadder.finalize()
        if wrap == "AESWrap":
            return aes_key_unwrap(self.key, wrapped)
        assert wrap == "AES/GCM", wrap
        return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], binding.encode())


class Rsa:
    """A pair, from its private half in PEM."""

    def __init__(self, private: bytes):
        self.private = serialization.load_pem_private_key(private, None)

    def fingerprint(self) -> str:
        public = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return "fp1-" + hashlib.sha256(FINGERPRINT + b"rsa\0" + public).hexdigest()[:32]

    def wrap(self, how: str, data_key: bytes, binding: str) -> tuple[str, bytes]:
        public = self.private.public_key()
        if how == "encryption-only":
            return "RSA", public.encrypt(data_key, rsa_padding.PKCS1v15())
        if how == "v1":
            return "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", public.encrypt(data_key, OAEP_SHA256)
        bound = bytes([len(data_key)]) + data_key + binding.encode()
        return "RSA-OAEP-SHA1", public.encrypt(bound, OAEP_SHA1)

    def unwrap(self, wrap: str, wrapped: bytes, binding: str) -> bytes:
        if wrap == "RSA":
            return self.private.decrypt(wrapped, rsa_padding.PKCS1v15())
        if wrap.startswith("RSA/ECB/OAEP"):
            return self.private.decrypt(wrapped, OAEP_SHA256)
        assert wrap == "RSA-OAEP-SHA1", wrap
        bound = self.private.decrypt(wrapped, OAEP_SHA1)
        assert bound[33:] == binding.encode() and bound[0] == 32
        return bound[1:33]


class Kms:
    """A KMS key, asked by boto3."""

    def __init__(self, kms, key: str, context: dict):
        self.kms, self.key, self.context = kms, key, context

    def wrap(self, how: str, data_key: bytes, binding: str) -> tuple[str, bytes]:
        wrap = "kms" if how in ("encryption-only", "v1") else "kms+context"
        done = self.kms.encrypt(KeyId=self.key, Plaintext=data_key, EncryptionContext=self.context)
        return wrap, done["CiphertextBlob"]

    def unwrap(self, wrap: str, wrapped: bytes, binding: str) -> bytes:
        bound = {"aws:x-amz-cek-alg": binding} if wrap == "kms+context" else {"kms_cmk_id": self.key}
        assert wrap in ("kms", "kms+context") and self.context == bound
        return self.kms.decrypt(CiphertextBlob=wrapped, KeyId=self.key, EncryptionContext=self.context)["Plaintext"]


def _derive(data_key: bytes, message_id: bytes, label: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA512(), length, salt=message_id, info=b"\x00\x73" + label).derive(data_key)


def seal(plaintext: bytes, key, how: str, description: dict) -> tuple[bytes, dict]:
    """The content of an object and its user metadata."""
    data_key = os.urandom(32)
    matdesc = json.dumps(description)
    if how == "v4":
        message_id = os.urandom(28)
        wrap, wrapped = key.wrap(how, data_key, "115")
        content = AESGCM(_derive(data_key, message_id, b"DERIVEKEY", 32)).encrypt(b"\x01" * 12, plaintext, b"\x00\x73")
        return content, {
            "x-amz-c": "115",
            "x-amz-3": _64(wrapped),
            "x-amz-w": {"AES/GCM": "02", "RSA-OAEP-SHA1": "22"}[wrap],
            "x-amz-i": _64(message_id),
            "x-amz-d": _64(_derive(data_key, message_id, b"COMMITKEY", 28)),
            "x-amz-m": matdesc,
        }
    wrap, wrapped = key.wrap(how, data_key, GCM)
    if how == "encryption-only":
        iv = os.urandom(16)
        padder = padding.PKCS7(128).padder()
        cbc = Cipher(algorithms.AES(data_key), modes.CBC(iv)).encryptor()
        content = cbc.update(padder.update(plaintext) + padder.finalize())
        return content, {"x-amz-key": _64(wrapped), "x-amz-iv": _64(iv), "x-amz-matdesc": matdesc}
    iv = os.urandom(12)
    return AESGCM(data_key).encrypt(iv, plaintext, None), {
        "x-amz-key-v2": _64(wrapped),
        "x-amz-iv": _64(iv),
        "x-amz-cek-alg": GCM,
        "x-amz-tag-len": "128",
        "x-amz-wrap-alg": wrap,
        "x-amz-matdesc": matdesc,
        "x-amz-unencrypted-content-length": str(len(plaintext)),
    }


def unseal(content: bytes, metadata: dict, key) -> bytes:
    """The plaintext, authenticated where the format is."""
    field = lambda name: base64.b64decode(metadata[name])
    if "x-amz-3" in metadata:
        wrap = {"02": "AES/GCM", "12": "kms+context", "22": "RSA-OAEP-SHA1"}[metadata["x-amz-w"]]
        data_key, message_id = key.unwrap(wrap, field("x-amz-3"), "115"), field("x-amz-i")
        assert _derive(data_key, message_id, b"COMMITKEY", 28) == field("x-amz-d")
        assert metadata["x-amz-c"] == "115"
        return AESGCM(_derive(data_key, message_id, b"DERIVEKEY", 32)).decrypt(b"\x01" * 12, content, b"\x00\x73")
    if "x-amz-key" in metadata:
        wrapped = field("x-amz-key")
        data_key = key.unwrap("AES" if len(wrapped) <= 48 else "RSA", wrapped, "")
        cbc = Cipher(algorithms.AES(data_key), modes.CBC(field("x-amz-iv"))).decryptor()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(cbc.update(content)) + unpadder.finalize()
    assert (metadata["x-amz-cek-alg"], metadata["x-amz-tag-len"]) == (GCM, "128")
    data_key = key.unwrap(metadata["x-amz-wrap-alg"], field("x-amz-key-v2"), GCM)
    return AESGCM(data_key).decrypt(field("x-amz-iv"), content, None)


def description(metadata: dict) -> dict:
    return json.loads(metadata.get("x-amz-matdesc") or metadata.get("x-amz-m") or "{}")


def context(metadata: dict) -> dict:
    """The encryption context of a data key that KMS wrapped."""
    return json.loads(metadata.get("x-amz-t") or metadata["x-amz-matdesc"])
