import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from localaws.faults import BadFault, Fault, Faults
from localaws.operations import Operation


def status_and_code(call, **arguments) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_a_throttle_hits_as_often_as_asked_and_no_more(stack, key):
    stack.fault(service="kms", op="Encrypt", count=2, status=400, code="ThrottlingException")
    encrypt = {"KeyId": key, "Plaintext": b"x"}
    for _ in range(2):
        assert status_and_code(stack.kms.encrypt, **encrypt) == (400, "ThrottlingException")
    stack.kms.encrypt(**encrypt)
    assert stack.control("GET", "faults")[0]["hits"] == 2


def test_a_fault_without_a_count_limit_stays_until_it_is_cleared(stack, bucket):
    stack.fault(service="s3", op="GetObject", count=None, status=503, code="SlowDown")
    stack.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(3):
        assert status_and_code(stack.s3.get_object, Bucket=bucket, Key="k") == (503, "SlowDown")
    stack.control("DELETE", "faults")
    assert stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_fault_lets_the_first_requests_pass(stack, key):
    stack.fault(service="kms", op="Encrypt", after=1, status=500, code="KMSInternalException")
    stack.kms.encrypt(KeyId=key, Plaintext=b"x")
    assert status_and_code(stack.kms.encrypt, KeyId=key, Plaintext=b"x")[0] == 500
    stack.kms.encrypt(KeyId=key, Plaintext=b"x")


def test_a_fault_hits_only_its_resource(stack, bucket):
    stack.fault(service="s3", resource="bucket/bad", count=None, status=403, code="AccessDenied")
    stack.s3.put_object(Bucket=bucket, Key="good", Body=b"x")
    put = {"Bucket": bucket, "Key": "bad", "Body": b"x"}
    assert status_and_code(stack.s3.put_object, **put) == (403, "AccessDenied")


def test_a_kms_fault_hits_only_its_key(stack, key):
    other = stack.kms.create_key()["KeyMetadata"]["KeyId"]
    stack.fault(service="kms", resource=key, count=None, status=400, code="AccessDeniedException")
    stack.kms.encrypt(KeyId=other, Plaintext=b"x")
    assert status_and_code(stack.kms.encrypt, KeyId=key, Plaintext=b"x")[1] == (
        "AccessDeniedException"
    )


def test_a_fault_on_a_put_with_a_body_leaves_the_connection_usable(stack, bucket):
    stack.fault(service="s3", op="PutObject", status=500)
    put = {"Bucket": bucket, "Key": "k", "Body": b"x" * 100_000}
    assert status_and_code(stack.s3.put_object, **put) == (500, "InternalError")
    stack.s3.put_object(**put)
    assert stack.s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 100_000


def test_a_delay_alone_slows_the_request_and_lets_it_pass(stack, key):
    stack.fault(service="kms", op="Encrypt", delay=0.3)
    started = time.monotonic()
    stack.kms.encrypt(KeyId=key, Plaintext=b"x")
    assert time.monotonic() - started >= 0.3


def test_a_request_that_is_held_goes_on_once_its_fault_is_removed(stack, key):
    other, held = stack.hold("Decrypt", "kms"), stack.hold("Encrypt", "kms")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(stack.kms.encrypt, KeyId=key, Plaintext=b"x")
        while not stack.hits(held):
            assert not answer.done()
        stack.release(held)
        assert answer.result()["CiphertextBlob"]
    assert [fault["id"] for fault in stack.control("GET", "faults")] == [other]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        stack.release(held)


@pytest.mark.parametrize("length", [0, 70_000])
def test_a_cut_ends_the_answer_and_its_connection_in_mid_body(stack, bucket, length):
    body = bytes(range(250)) * 400
    stack.s3.put_object(Bucket=bucket, Key="k", Body=body)
    stack.fault(service="s3", op="GetObject", cut=length)
    answer = stack.s3.get_object(Bucket=bucket, Key="k")
    assert answer["ContentLength"] == len(body)
    assert b"".join(_until_broken(answer["Body"])) == body[:length]
    assert stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_an_alteration_is_stored_though_the_client_sent_a_checksum(stack, bucket):
    stack.fault(service="s3", op="PutObject", alter=True)
    stack.s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ChecksumAlgorithm="SHA256")
    assert stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"0123446789"


def _until_broken(body):
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        while piece := body.read(1000):
            yield piece


def test_a_rate_limit_throttles_what_exceeds_it(stack, key):
    stack.fault(service="kms", op="Encrypt", rate=0.001, burst=2)
    stack.kms.encrypt(KeyId=key, Plaintext=b"x")
    stack.kms.encrypt(KeyId=key, Plaintext=b"x")
    for _ in range(3):
        assert status_and_code(stack.kms.encrypt, KeyId=key, Plaintext=b"x") == (
            400,
            "ThrottlingException",
        )


def test_a_rate_limit_lets_pass_what_its_rate_allows():
    now = [100.0]
    faults = Faults(clock=lambda: now[0])
    faults.add({"service": "kms", "rate": 2, "burst": 1})
    decrypt = Operation("kms", "Decrypt")
    assert faults.hit(decrypt, "") is None
    assert faults.hit(decrypt, "").code == "ThrottlingException"
    now[0] += 0.5
    assert faults.hit(decrypt, "") is None
    now[0] += 60
    assert faults.hit(decrypt, "") is None
    assert faults.hit(decrypt, "") is not None, "a pause must not save up more than the burst"


def test_delays_add_up_with_an_error():
    faults = Faults()
    faults.add({"service": "s3", "delay": 1.0, "count": None})
    faults.add({"service": "s3", "op": "GetObject", "delay": 0.5, "status": 503})
    outcome = faults.hit(Operation("s3", "GetObject"), "")
    assert [seconds for seconds, _ in outcome.delays] == [1.0, 0.5] and outcome.status == 503
    assert faults.hit(Operation("kms", "Decrypt"), "") is None


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"service": "s3"},
        {"service": "sqs", "status": 500},
        {"service": "s3", "stauts": 500},
        {"service": "s3", "status": "many"},
        {"service": "s3", "status": 42},
        {"service": "kms", "rate": 0},
        {"service": "kms", "rate": 1, "burst": 0},
        {"service": "s3", "cut": -1},
        {"service": "s3", "cut": 1, "status": 500},
    ],
)
def test_a_fault_that_could_never_fire_is_refused(document):
    with pytest.raises(BadFault):
        Fault.parse(document)


def test_a_bad_fault_is_a_bad_request(stack):
    with pytest.raises(urllib.error.HTTPError) as caught:
        stack.fault(service="s3")
    assert caught.value.code == 400


def test_every_operation_is_counted_by_name(stack, bucket, key):
    stack.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    stack.s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    stack.s3.head_object(Bucket=bucket, Key="k")
    stack.s3.list_objects_v2(Bucket=bucket)
    upload = stack.s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    stack.s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    stack.s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    stack.s3.delete_object(Bucket=bucket, Key="k")
    stack.kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert stack.calls() == {
        "s3.PutObject": 1,
        "s3.CopyObject": 1,
        "s3.GetObject": 2,
        "s3.HeadObject": 1,
        "s3.ListObjectsV2": 1,
        "s3.CreateMultipartUpload": 1,
        "s3.UploadPart": 1,
        "s3.AbortMultipartUpload": 1,
        "s3.DeleteObject": 1,
        "kms.GenerateDataKey": 1,
    }


def test_a_call_that_a_fault_refused_is_counted_too(stack, key):
    stack.fault(service="kms", op="Encrypt", status=400, code="ThrottlingException")
    status_and_code(stack.kms.encrypt, KeyId=key, Plaintext=b"x")
    assert stack.calls() == {"kms.Encrypt": 1}
