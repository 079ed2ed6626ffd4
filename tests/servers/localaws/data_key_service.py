"""An HTTP data key service over mutual TLS, as github.com/dwp/data-key-service offers it.

It listens on a port of its own, from the control API's `POST data-key-service` on. Counts and faults are those of the
other services; README.md lists the rest. Certificates are made at the start and handed out by the control API.
"""

import base64
import binascii
import datetime
import http.server
import ipaddress
import itertools
import json
import os
import socket
import ssl
import tempfile
import threading
from typing import Callable, Optional
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from .faults import Faults
from .operations import Operation

HOST = "127.0.0.1"
PASSWORD = "changeit"
"""Of the PKCS#12 files."""

_NONCE = 12
_HANDSHAKE_SECONDS = 10
_IDLE_SECONDS = 600


class DataKeyService:
    """The service, listening or not. Its keys and certificates last as long as the process. Thread-safe."""

    def __init__(self, faults: Faults, count: Callable[[Operation], None]) -> None:
        self.faults = faults
        self.count = count
        self._lock = threading.Lock()
        self._certificates: Optional[Certificates] = None
        self._server: Optional[_Server] = None
        self._port = 0
        self._ids = itertools.count(1)
        self._masters: dict[str, AESGCM] = {}
        self._current = ""
        self._key_bytes = 16
        self.rotate()

    def start(self, key_bytes: int = 16) -> dict:
        """Listens, on the same port as before, and says where; `key_bytes`: of new data keys."""
        if key_bytes not in (16, 24, 32):
            raise ValueError("key_bytes must be 16, 24 or 32")
        with self._lock:
            self._key_bytes = key_bytes
            self._certificates = self._certificates or Certificates()
            if self._server is None:
                self._server = _Server((HOST, self._port), self, self._certificates.context())
                self._port = self._server.server_address[1]
                threading.Thread(target=self._server.serve_forever, daemon=True).start()
            return {
                "url": f"https://{HOST}:{self._port}",
                "password": PASSWORD,
                "files": {
                    name: base64.b64encode(content).decode()
                    for name, content in self._certificates.files.items()
                },
            }

    def stop(self) -> None:
        """Closes the port and every connection."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.close_connections()

    def rotate(self) -> str:
        """Wraps new data keys under a new master key, and returns its id."""
        number = next(self._ids)
        # The handles of a public and a private key, in the HSM's notation.
        key_id = f"cloudhsm:{number * 2},{number * 2 + 1}"
        self._masters[key_id] = AESGCM(AESGCM.generate_key(256))
        self._current = key_id
        return key_id

    def generate(self) -> dict:
        key, key_id = os.urandom(self._key_bytes), self._current
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._masters[key_id].encrypt(nonce, key, key_id.encode())
        return {
            "dataKeyEncryptionKeyId": key_id,
            "plaintextDataKey": base64.b64encode(key).decode(),
            "ciphertextDataKey": base64.b64encode(sealed).decode(),
        }

    def decrypt(self, key_id: str, ciphertext: str) -> Optional[dict]:
        """None for what this service did not make."""
        try:
            sealed = base64.b64decode(ciphertext, validate=True)
            key = self._masters[key_id].decrypt(sealed[:_NONCE], sealed[_NONCE:], key_id.encode())
        except (binascii.Error, KeyError, ValueError, InvalidTag):
            return None
        return {
            "dataKeyEncryptionKeyId": key_id,
            "plaintextDataKey": base64.b64encode(key).decode(),
        }


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple, service: DataKeyService, context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        self.service = service
        self._context = context
        self._connections: set = set()

    def finish_request(self, request, client_address) -> None:
        # Here, and not where the connection is accepted: a client that does not shake hands keeps nobody waiting.
        request.settimeout(_HANDSHAKE_SECONDS)
        connection = self._context.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        )
        self._connections.add(connection)
        try:
            connection.do_handshake()
            connection.settimeout(_IDLE_SECONDS)
            self.RequestHandlerClass(connection, client_address, self)
        except OSError:  # a client without a certificate that we trust, or one that went away
            _drain(connection)
        finally:
            self._connections.discard(connection)
            connection.close()

    def close_connections(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def handle_error(self, request, client_address) -> None:
        pass


def _drain(connection: ssl.SSLSocket) -> None:
    """Closing with unread bytes resets the connection, and the client might never see the alert that says why."""
    try:
        connection.settimeout(1)
        connection.shutdown(socket.SHUT_WR)  # from here on a plain socket
        while connection.recv(4096):
            pass
    except OSError:
        pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/datakey":
            return self._error(404, "Not Found", "No such resource")
        if self._pass("GenerateDataKey", ""):
            self._answer(201, self.server.service.generate())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("latin-1")
        target = urlsplit(self.path)
        if target.path != "/datakey/actions/decrypt":
            return self._error(404, "Not Found", "No such resource")
        key_id = parse_qs(target.query).get("keyId", [""])[0]
        if not self._pass("DecryptDataKey", key_id):
            return
        answer = self.server.service.decrypt(key_id, body)
        if answer is None:
            return self._error(400, "Bad Request", "The supplied data key could not be decrypted.")
        self._answer(200, answer)

    def _pass(self, name: str, resource: str) -> bool:
        """Counts the call; whether no fault has answered it."""
        operation = Operation("dks", name)
        self.server.service.count(operation)
        outcome = self.server.service.faults.hit(operation, resource)
        if outcome is None:
            return True
        outcome.wait()
        if outcome.status is None:
            return True
        if outcome.body is not None:
            self._send(outcome.status, outcome.body.encode())
        else:
            self._error(outcome.status, outcome.code, outcome.message)
        return False

    def _error(self, status: int, error: str, message: str) -> None:
        # The form of Spring Boot's errors.
        self._answer(status, {"status": status, "error": error, "message": message})

    def _answer(self, status: int, document: dict) -> None:
        self._send(status, json.dumps(document).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class Certificates:
    """A CA, what it issued, and a stranger; all of them made anew.

    `files`, by name: `ca.pem` and `trust.p12` to trust the service; `client.pem` and `client.p12` to show to it;
    `stranger.pem`, a client of an authority that it does not trust; `stranger-ca.pem`, that authority.
    """

    def __init__(self) -> None:
        ca_key, ca = _issue("localaws data key service CA", None, None)
        self._ca = _pem(ca)
        server_key, server = _issue("data key service", ca_key, ca)
        self._server = _pem(server) + _key_pem(server_key)
        client_key, client = _issue("client", ca_key, ca)
        other_key, other = _issue("another CA", None, None)
        stranger_key, stranger = _issue("stranger", other_key, other)
        encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
        self.files = {
            "ca.pem": self._ca,
            "trust.p12": pkcs12.serialize_key_and_certificates(b"ca", None, None, [ca], encryption),
            "client.pem": _pem(client) + _key_pem(client_key),
            "client.p12": pkcs12.serialize_key_and_certificates(
                b"client", client_key, client, [ca], encryption
            ),
            "stranger.pem": _pem(stranger) + _key_pem(stranger_key),
            "stranger-ca.pem": _pem(other),
        }

    def context(self) -> ssl.SSLContext:
        """The server's side: it wants a certificate of the CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self._ca.decode())
        with tempfile.NamedTemporaryFile() as file:  # the one thing that ssl reads from files alone
            file.write(self._server)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _issue(name: str, issuer_key, issuer) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and its certificate; without an issuer, a CA's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
            ),
            critical=False,
        )
    )
    return key, builder.sign(issuer_key or key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
