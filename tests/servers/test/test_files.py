"""Objects in files (`--files`)."""

import io
import sys

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from localaws.client import LocalAws

CONTENT = bytes(range(256)) * 50_000  # two parts, the second one short


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    started = LocalAws(sys.executable, "--files", str(folder))
    started.s3.create_bucket(Bucket="bucket")
    yield started.s3
    assert started.close() == 0


@pytest.mark.parametrize("threshold", [5 << 20, 1 << 30])
def test_an_object_in_parts_or_in_one_is_read_whole_and_by_ranges(s3, threshold):
    settings = TransferConfig(multipart_threshold=threshold, multipart_chunksize=8 << 20)
    more = {"Metadata": {"x-amz-key-v2": "text"}}
    s3.upload_fileobj(io.BytesIO(CONTENT), "bucket", "a b", ExtraArgs=more, Config=settings)
    head = s3.head_object(Bucket="bucket", Key="a b")
    assert (head["ContentLength"], head["Metadata"]) == (len(CONTENT), more["Metadata"])
    read = lambda **how: s3.get_object(Bucket="bucket", Key="a b", **how)["Body"].read()
    assert read() == CONTENT
    for first, last in (0, 0), ((8 << 20) - 1, 8 << 20), (len(CONTENT) - 5, len(CONTENT) + 5):
        assert read(Range=f"bytes={first}-{last}") == CONTENT[first : last + 1]
    assert read(Range="bytes=100-", IfMatch=head["ETag"]) == CONTENT[100:]


def test_conditions_hold_and_other_requests_are_refused(s3):
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    for call, more in (
        (s3.put_object, {"Body": b"y", "IfNoneMatch": "*"}),
        (s3.get_object, {"IfMatch": '"other"'}),
        (s3.delete_object, {}),
    ):
        with pytest.raises(ClientError):
            call(Bucket="bucket", Key="k", **more)
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"x"
    with pytest.raises(ClientError):
        s3.head_object(Bucket="bucket", Key="none")
