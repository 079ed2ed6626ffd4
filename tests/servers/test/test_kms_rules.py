import pytest
from botocore.exceptions import ClientError


def code_of(call, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def every_use(stack, key, blob):
    """Every symmetric operation with the key, as (callable, arguments)."""
    kms = stack.kms
    return [
        (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
        (kms.generate_data_key_without_plaintext, {"KeyId": key, "KeySpec": "AES_256"}),
        (kms.encrypt, {"KeyId": key, "Plaintext": b"x"}),
        (kms.decrypt, {"CiphertextBlob": blob}),
        (kms.decrypt, {"CiphertextBlob": blob, "KeyId": key}),
        (kms.re_encrypt, {"CiphertextBlob": blob, "DestinationKeyId": key}),
    ]


def test_an_enabled_key_serves_every_operation(stack, key):
    blob = stack.kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    for call, arguments in every_use(stack, key, blob):
        call(**arguments)
    assert stack.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"


def test_a_disabled_key_is_refused_until_it_is_enabled_again(stack, key):
    blob = stack.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    stack.kms.disable_key(KeyId=key)
    for call, arguments in every_use(stack, key, blob):
        assert code_of(call, **arguments) == "DisabledException"
    stack.kms.enable_key(KeyId=key)
    assert stack.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_a_key_pending_deletion_is_refused(stack, key):
    blob = stack.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    stack.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    for call, arguments in every_use(stack, key, blob):
        assert code_of(call, **arguments) == "KMSInvalidStateException"


@pytest.mark.parametrize("name", ["alias/mine", "arn"])
def test_the_state_is_checked_through_alias_and_arn_too(stack, key, name):
    stack.kms.create_alias(AliasName="alias/mine", TargetKeyId=key)
    arn = stack.kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    stack.kms.disable_key(KeyId=key)
    used = arn if name == "arn" else name
    assert code_of(stack.kms.encrypt, KeyId=used, Plaintext=b"x") == "DisabledException"


@pytest.mark.parametrize(
    "spec, usage", [("RSA_2048", "ENCRYPT_DECRYPT"), ("RSA_2048", "SIGN_VERIFY")]
)
def test_an_rsa_key_is_refused_for_symmetric_operations(stack, spec, usage):
    key = stack.kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    assert code_of(stack.kms.generate_data_key, KeyId=key, KeySpec="AES_256") == (
        "InvalidKeyUsageException"
    )
    assert code_of(stack.kms.encrypt, KeyId=key, Plaintext=b"x") == "InvalidKeyUsageException"


def test_the_rsa_encryption_algorithms_are_refused_rather_than_faked(stack):
    key = stack.kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]
    assert (
        code_of(
            stack.kms.encrypt,
            KeyId=key["KeyId"],
            Plaintext=b"x",
            EncryptionAlgorithm="RSAES_OAEP_SHA_256",
        )
        == "UnsupportedOperationException"
    )


def test_an_unknown_key_is_not_found(stack):
    missing = "00000000-0000-4000-8000-000000000000"
    assert code_of(stack.kms.encrypt, KeyId=missing, Plaintext=b"x") == "NotFoundException"


def test_the_encryption_context_is_bound(stack, key):
    blob = stack.kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"})[
        "CiphertextBlob"
    ]
    assert code_of(
        stack.kms.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "2"}
    ).startswith("InvalidCiphertext")


def test_decrypt_with_another_key_id_is_refused(stack, key):
    other = stack.kms.create_key()["KeyMetadata"]["KeyId"]
    blob = stack.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert code_of(stack.kms.decrypt, CiphertextBlob=blob, KeyId=other) == "IncorrectKeyException"


def test_a_garbage_blob_is_refused(stack):
    assert code_of(stack.kms.decrypt, CiphertextBlob=b"\xff" * 100) == "InvalidCiphertextException"


def test_the_state_can_be_changed_by_arn(stack, key):
    arn = stack.kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    stack.kms.disable_key(KeyId=arn)
    assert code_of(stack.kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"
    stack.kms.enable_key(KeyId=arn)
    stack.kms.encrypt(KeyId=key, Plaintext=b"x")
    stack.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert code_of(stack.kms.encrypt, KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"
    stack.kms.cancel_key_deletion(KeyId=arn)
    assert stack.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_a_dry_run_does_nothing_and_says_so(stack, key):
    blob = stack.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    arn = stack.kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    for call, arguments in every_use(stack, arn, blob):
        assert code_of(call, **arguments, DryRun=True) == "DryRunOperationException"
        call(**arguments, DryRun=False)
    missing = "00000000-0000-4000-8000-000000000000"
    assert code_of(stack.kms.generate_data_key, KeyId=missing, KeySpec="AES_256", DryRun=True) == "NotFoundException"
    wrong = {"KeyId": key, "CiphertextBlob": b"\xff" * 99}
    assert code_of(stack.kms.decrypt, **wrong, DryRun=True) == "InvalidCiphertextException"
    stack.kms.disable_key(KeyId=key)
    assert code_of(stack.kms.generate_data_key, KeyId=key, KeySpec="AES_256", DryRun=True) == "DisabledException"


def test_a_key_policy_is_kept_as_it_was_put(stack, key):
    arn = stack.kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    text = '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}], "Id": "mine"}'
    stack.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=text)
    assert stack.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"] == text
    for bad in ("{}", "no JSON", text.replace("mine", "m" * 33_000)):
        found = code_of(stack.kms.put_key_policy, KeyId=key, PolicyName="default", Policy=bad)
        assert found == "MalformedPolicyDocumentException"
    assert stack.kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"] == text
