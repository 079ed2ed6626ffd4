import base64
import hashlib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from botocore.exceptions import ClientError


def code_of(call, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def test_user_metadata_of_2048_bytes_is_stored(stack, bucket):
    metadata = {"n": "v" * 2047}
    stack.s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata=metadata)
    assert stack.s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata


def test_user_metadata_of_2049_bytes_is_refused_and_nothing_is_stored(stack, bucket):
    metadata = {"n": "v" * 1024, "m": "v" * 1023}
    put = stack.s3.put_object
    assert code_of(put, Bucket=bucket, Key="k", Body=b"x", Metadata=metadata) == "MetadataTooLarge"
    assert code_of(stack.s3.head_object, Bucket=bucket, Key="k") == "404"


def test_the_metadata_limit_holds_for_multipart_and_copy(stack, bucket):
    metadata = {"n": "v" * 2048}
    stack.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (
        code_of(stack.s3.create_multipart_upload, Bucket=bucket, Key="m", Metadata=metadata)
        == "MetadataTooLarge"
    )
    assert (
        code_of(
            stack.s3.copy_object,
            Bucket=bucket,
            Key="c",
            CopySource={"Bucket": bucket, "Key": "k"},
            Metadata=metadata,
            MetadataDirective="REPLACE",
        )
        == "MetadataTooLarge"
    )


@pytest.mark.parametrize("name", ["a b", "a%2Fb", "a//b", "ü/é", "a+b", "a%20b", "x&y=z?"])
def test_object_names_come_back_as_they_went_in(stack, bucket, name):
    stack.s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    assert stack.s3.get_object(Bucket=bucket, Key=name)["Body"].read() == name.encode()
    listed = stack.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == [name]


def test_a_range_is_served(stack, bucket):
    stack.s3.put_object(Bucket=bucket, Key="k", Body=bytes(range(100)))
    answer = stack.s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-19")
    assert answer["Body"].read() == bytes(range(10, 20))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_multipart_object_is_its_parts_in_order(stack, bucket):
    upload = stack.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    bodies = [b"a" * (5 << 20), b"b"]
    parts = []
    for number, body in enumerate(bodies, 1):
        tag = stack.s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body
        )["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    stack.s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(bodies)


def test_wiping_the_data_forgets_buckets_and_keys(stack, bucket, key):
    stack.control("DELETE", "data")
    assert stack.s3.list_buckets()["Buckets"] == []
    assert code_of(stack.kms.encrypt, KeyId=key, Plaintext=b"x") == "NotFoundException"


def test_a_conditional_write_needs_the_object_as_it_was(stack, bucket):
    put = stack.s3.put_object
    tag = put(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert code_of(put, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert code_of(put, Bucket=bucket, Key="k", Body=b"2", IfMatch='"other"') == "PreconditionFailed"
    assert code_of(put, Bucket=bucket, Key="absent", Body=b"2", IfMatch=tag) == "NoSuchKey"
    put(Bucket=bucket, Key="k", Body=b"3", IfMatch=tag)
    assert stack.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def test_a_copy_needs_its_source_and_its_destination_as_they_were(stack, bucket):
    tag = stack.s3.put_object(Bucket=bucket, Key="ü %k", Body=b"1")["ETag"]

    def copy(**conditions):
        source = {"Bucket": bucket, "Key": "ü %k"}
        stack.s3.copy_object(Bucket=bucket, Key="ü %k", CopySource=source, MetadataDirective="REPLACE", **conditions)

    assert code_of(copy, CopySourceIfMatch='"other"') == "PreconditionFailed"
    assert code_of(copy, IfMatch='"other"') == "PreconditionFailed"
    copy(CopySourceIfMatch=tag, IfMatch=tag, Metadata={"a": "b"})
    assert stack.s3.head_object(Bucket=bucket, Key="ü %k")["Metadata"] == {"a": "b"}


def test_a_copy_needs_its_source_not_to_be_younger(stack, bucket):
    tag = stack.s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    stack.control("POST", "object", {"bucket": bucket, "key": "k", "modified": 1_000_000_000})

    def copy(**conditions):
        source = {"Bucket": bucket, "Key": "k"}
        stack.s3.copy_object(Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", **conditions)

    assert code_of(copy, CopySourceIfUnmodifiedSince=999_999_999) == "PreconditionFailed"
    copy(CopySourceIfUnmodifiedSince=1_000_000_000)
    # By that it is younger, and a right ETag makes up for it.
    assert code_of(copy, CopySourceIfUnmodifiedSince=1_000_000_000) == "PreconditionFailed"
    copy(CopySourceIfUnmodifiedSince=1_000_000_000, CopySourceIfMatch=tag)


def test_nothing_is_locked_until_the_past(stack, bucket):
    def put(year):
        until = datetime(year, 1, 1, tzinfo=timezone.utc)
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
        stack.s3.put_object(Bucket=bucket, Key="k", Body=b"", **lock)

    assert code_of(put, year=2001) == "InvalidArgument"


def test_only_who_may_read_tags_is_told_that_there_are_some(stack, bucket):
    stack.s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=b")
    told = lambda: stack.s3.head_object(Bucket=bucket, Key="k").get("TagCount")
    assert told() == 1
    stack.deny("s3", "GetObjectTagging")
    assert code_of(stack.s3.get_object_tagging, Bucket=bucket, Key="k") == "AccessDenied"
    assert told() is None


@pytest.mark.parametrize("exists", [False, True])
def test_of_many_conditional_writes_at_once_one_succeeds(stack, bucket, exists):
    for number in range(10):
        key, condition = f"k{number}", {"IfNoneMatch": "*"}
        if exists:
            condition = {"IfMatch": stack.s3.put_object(Bucket=bucket, Key=key, Body=b"")["ETag"]}

        def write(thread):
            try:
                stack.s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % thread, **condition)
                return 1
            except ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed"
                return 0

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(write, range(8))) == 1


@pytest.mark.parametrize("header", ["x-amz-content-sha256", "x-amz-checksum-sha256"])
def test_a_body_of_another_digest_is_refused(stack, bucket, header):
    digest = hashlib.sha256(b"right").digest()
    value = digest.hex() if "content" in header else base64.b64encode(digest).decode()
    for body, status in ((b"right", 200), (b"wrong", 400)):
        request = urllib.request.Request(f"{stack.endpoint}/{bucket}/k", data=body, method="PUT")
        request.add_header(header, value)
        request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=A/20240101/us-east-1/s3/aws4_request")
        if status == 200:
            urllib.request.urlopen(request).close()
            continue
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == status
