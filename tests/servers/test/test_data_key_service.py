import base64
import http.client
import json
import ssl
import threading
import urllib.error
from urllib.parse import quote, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12


class Client:
    """Asks the service as its own provider does."""

    def __init__(self, document: dict, folder, identity="client.pem", trust="ca.pem"):
        self.files = {name: base64.b64decode(text) for name, text in document["files"].items()}
        self.address = urlsplit(document["url"]).netloc
        self.context = ssl.create_default_context(cadata=self.files[trust].decode())
        if identity is not None:
            path = folder / identity
            path.write_bytes(self.files[identity])
            self.context.load_cert_chain(path)

    def request(self, method: str, path: str, body=None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self.address, timeout=10, context=self.context)
        try:
            connection.request(method, path, body, {"Content-Type": "text/plain"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def generate(self) -> dict:
        status, body = self.request("GET", "/datakey?correlationId=test")
        assert status == 201, body
        return json.loads(body)

    def decrypt(self, key_id: str, ciphertext: str) -> tuple[int, dict]:
        path = f"/datakey/actions/decrypt?keyId={quote(key_id, safe='')}"
        status, body = self.request("POST", path, ciphertext)
        return status, json.loads(body)


@pytest.fixture
def service(stack):
    yield stack.control("POST", "data-key-service", {})
    stack.control("DELETE", "data-key-service")


@pytest.fixture
def client(service, tmp_path):
    return Client(service, tmp_path)


def test_what_it_wraps_it_opens(client):
    key = client.generate()
    assert set(key) == {"dataKeyEncryptionKeyId", "plaintextDataKey", "ciphertextDataKey"}
    assert len(base64.b64decode(key["plaintextDataKey"])) == 16
    status, opened = client.decrypt(key["dataKeyEncryptionKeyId"], key["ciphertextDataKey"])
    assert status == 200
    assert opened["plaintextDataKey"] == key["plaintextDataKey"]
    assert client.generate()["plaintextDataKey"] != key["plaintextDataKey"]


def test_what_it_did_not_wrap_is_a_bad_request(stack, client):
    key = client.generate()
    key_id, ciphertext = key["dataKeyEncryptionKeyId"], key["ciphertextDataKey"]
    stack.control("POST", "data-key-service/rotate")
    other = client.generate()
    assert other["dataKeyEncryptionKeyId"] != key_id
    for wrong in [
        ("cloudhsm:0,0", ciphertext),
        (other["dataKeyEncryptionKeyId"], ciphertext),
        (key_id, other["ciphertextDataKey"]),
        (key_id, base64.b64encode(b"short").decode()),
        (key_id, "not base64"),
        (key_id, ""),
    ]:
        assert client.decrypt(*wrong)[0] == 400
    assert client.decrypt(key_id, ciphertext)[0] == 200, "older master keys still open"


def test_only_clients_of_its_ca_are_let_in(service, tmp_path, stack):
    for identity in ("stranger.pem", None):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Client(service, tmp_path, identity).generate()
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(service, tmp_path, trust="stranger-ca.pem").generate()
    assert stack.calls() == {}


def test_the_pkcs12_files_hold_what_the_pem_files_hold(client, service):
    password = service["password"].encode()
    key, certificate, chain = pkcs12.load_key_and_certificates(client.files["client.p12"], password)
    assert key is not None and certificate is not None and len(chain) == 1
    key, certificate, chain = pkcs12.load_key_and_certificates(client.files["trust.p12"], password)
    assert key is None and len(chain) + (certificate is not None) == 1


def test_calls_are_counted_and_faults_hit(stack, client):
    stack.fault(service="dks", op="GenerateDataKey", status=503, code="Service Unavailable")
    assert client.request("GET", "/datakey")[0] == 503
    key = client.generate()
    stack.fault(service="dks", resource=key["dataKeyEncryptionKeyId"], status=429)
    assert client.decrypt(key["dataKeyEncryptionKeyId"], key["ciphertextDataKey"])[0] == 429
    stack.fault(service="dks", status=201, body="<html>")
    assert client.request("GET", "/datakey") == (201, b"<html>")
    assert client.request("GET", "/elsewhere")[0] == 404
    assert stack.calls() == {"dks.GenerateDataKey": 3, "dks.DecryptDataKey": 1}


def test_a_rate_limit_answers_429(stack, client):
    stack.fault(service="dks", rate=0.001, burst=1)
    client.generate()
    assert client.request("GET", "/datakey")[0] == 429


def test_it_stops_and_comes_back_at_the_same_address(stack, service, client):
    client.generate()
    stack.control("DELETE", "data-key-service")
    with pytest.raises(OSError):
        client.generate()
    again = stack.control("POST", "data-key-service", {"key_bytes": 32})
    assert again == service
    assert len(base64.b64decode(client.generate()["plaintextDataKey"])) == 32


def test_many_clients_at_once(client):
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(client.generate())) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key["plaintextDataKey"] for key in seen}) == 32


@pytest.mark.parametrize("document", [{"key_bytes": 17}, {"bits": 128}])
def test_what_it_does_not_know_is_a_bad_request(stack, document):
    with pytest.raises(urllib.error.HTTPError) as caught:
        stack.control("POST", "data-key-service", document)
    assert caught.value.code == 400
