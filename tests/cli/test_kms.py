"""`emrkeys kms`: key policies."""

import json
import subprocess

import pytest

from support import TIMEOUT

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/EMR_EC2_DefaultRole"


def policy(servers, key) -> dict:
    return json.loads(servers.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])


def put(servers, key, *statements) -> None:
    document = {"Version": "2012-10-17", "Id": "of ours", "Statement": list(statements)}
    servers.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document, separators=(",", ":")))


def allow(principal: str, action="kms:*", **more) -> dict:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*", **more}


def test_a_role_becomes_a_key_user_once_it_is_applied(servers, tool):
    key = servers.kms_key()
    servers.kms.create_alias(AliasName="alias/" + key[-12:], TargetKeyId=key)
    before = policy(servers, key)
    command = ["kms", "add-key-user", "alias/" + key[-12:], "--role", "EMR_EC2_DefaultRole"]

    printed = tool.ok(*command)
    assert f'+        "AWS": "{ROLE}"' in printed and "--apply" in printed
    assert policy(servers, key) == before and "kms.PutKeyPolicy" not in servers.calls()

    assert tool.json(*command, "--apply")["applied"]
    after = policy(servers, key)
    assert after["Statement"][:-2] == before["Statement"]
    using, granting = after["Statement"][-2:]
    assert using["Principal"] == granting["Principal"] == {"AWS": ROLE}
    assert granting["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}

    again = tool.json(*command, "--apply")
    assert not again["changed"] and not again["applied"] and again["diff"] == ""
    assert servers.calls()["kms.PutKeyPolicy"] == 1

    shown = tool.json("kms", "show-policy", key)
    assert [(user["part"], user["principals"]) for user in shown["key_users"]] == [("use", [ROLE]), ("grant", [ROLE])]
    assert shown["left_to_iam"] and shown["policy"] is None
    assert ROLE in tool.ok("kms", "show-policy", key)
    tool.ok("kms", "add-key-user", key, "--role", "another", "--apply")
    assert policy(servers, key)["Statement"][-2]["Principal"]["AWS"] == [
        ROLE,
        ROLE.replace("EMR_EC2_DefaultRole", "another"),
    ]


def test_a_policy_that_nobody_could_change_again_is_refused(servers, tool):
    key = servers.kms_key()
    put(servers, key, allow("arn:aws:iam::123456789012:role/other"))
    told = tool.fails(4, "kms", "add-key-user", key, "--role", "EMR", "--apply")
    assert "kms:PutKeyPolicy" in told and "arn:aws:sts::" in told
    assert servers.calls()["kms.PutKeyPolicy"] == 1


def test_the_callers_role_may_be_the_administrator(servers, tool):
    key = servers.kms_key()
    put(servers, key, allow("arn:aws:iam::123456789012:role/admin"))
    session = servers.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/admin", RoleSessionName="mary")[
        "Credentials"
    ]
    env = {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
    assert tool.json("kms", "add-key-user", key, "--role", "EMR", "--apply", env=env)["applied"]


def test_of_two_operators_at_once_the_one_whose_change_is_lost_is_told(servers, tool):
    key = servers.kms_key()

    def command(role: str) -> list:
        return [tool.path, "kms", "add-key-user", key, "--role", role, "--apply"]

    # The first one's policy is worked out from the one before the second's change, and arrives after that.
    late = servers.hold("PutKeyPolicy", "kms")
    with subprocess.Popen(command("first"), env=tool.env, stdout=subprocess.DEVNULL) as first:
        while not servers.hits(late):
            assert first.poll() is None
        # Of the second one's looks at the policy (two before its change, two after it) the last one comes after that.
        last = servers.hold("GetKeyPolicy", "kms", after=3)
        with subprocess.Popen(command("second"), env=tool.env, stderr=subprocess.PIPE, text=True) as second:
            while not servers.hits(last):
                assert second.poll() is None
            servers.release(late)
            assert first.wait(timeout=TIMEOUT) == 0
            servers.release(last)
            told = second.communicate(timeout=TIMEOUT)[1]
        assert second.returncode == 3
    assert "somebody else" in told
    users = json.dumps(policy(servers, key))
    assert "role/first" in users and "role/second" not in users


def test_whoever_may_use_the_key_is_shown(servers, tool):
    key = servers.kms_key()
    put(servers, key, allow(f"arn:aws:iam::{ACCOUNT}:root"), allow(ROLE), allow(ROLE + "2", "kms:Decrypt"))
    assert not tool.json("kms", "add-key-user", key, "--role", ROLE)["changed"]
    shown = tool.json("kms", "show-policy", key)
    assert [(user["part"], user["principals"]) for user in shown["key_users"]] == [
        ("use", [ROLE]),
        ("some", [ROLE + "2"]),
    ]
    assert ROLE in tool.ok("kms", "show-policy", key)
    put(servers, key, allow(f"arn:aws:iam::{ACCOUNT}:root"))
    assert tool.json("kms", "show-policy", key)["key_users"] == []


def test_a_warning_that_cannot_be_told_costs_no_result(servers, tool):
    key = servers.kms_key()
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    put(servers, key, allow(f"arn:aws:iam::{ACCOUNT}:root"), denial)
    command = [tool.path, "kms", "add-key-user", key, "--role", "EMR"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=tool.env, stdout=subprocess.PIPE, stderr=full, text=True, timeout=TIMEOUT)
    assert done.returncode == 0 and "nothing was changed" in done.stdout


def test_a_denial_in_the_policy_is_told(servers, tool):
    key = servers.kms_key()
    denial = {"Sid": "Not now", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
    put(servers, key, allow(f"arn:aws:iam::{ACCOUNT}:root"), denial)
    done = tool.json("kms", "add-key-user", key, "--role", "EMR", "--apply")
    assert done["applied"] and "Not now" in done["warnings"][0]
    assert policy(servers, key)["Statement"][1] == denial


@pytest.mark.parametrize(
    "op, status, code",
    [("GetKeyPolicy", 5, "SOURCE_DENIED"), ("PutKeyPolicy", 5, "SOURCE_DENIED"), ("DescribeKey", 5, "SOURCE_DENIED")],
)
def test_what_kms_refuses_is_told(servers, tool, op, status, code):
    key = servers.kms_key()
    servers.deny("kms", op)
    told = tool.fails(status, "kms", "add-key-user", key, "--role", "EMR", "--apply")
    assert code in told and "kms:" + op in told
    servers.clear_faults()
    assert len(policy(servers, key)["Statement"]) == 1


def test_a_role_or_a_key_that_is_none_is_refused(servers, tool):
    key = servers.kms_key()
    servers.control("DELETE", "calls")
    for role in ("arn:aws:iam::123456789012:user/mary", "not a role", ""):
        tool.fails(2, "kms", "add-key-user", key, "--role", role)
    assert not servers.calls()
    assert "KEY_UNUSABLE" in tool.fails(1, "kms", "show-policy", "alias/nothing")


def test_a_policy_that_is_full_is_refused(servers, tool):
    key = servers.kms_key()
    many = [f"arn:aws:iam::{ACCOUNT}:role/r{n:05}" for n in range(808)]  # 32 KiB, but for 200 bytes
    put(servers, key, allow(f"arn:aws:iam::{ACCOUNT}:root"), allow(many, "kms:Encrypt"))
    told = tool.fails(4, "kms", "add-key-user", key, "--role", "EMR", "--apply")
    assert "32 KiB" in told and servers.calls()["kms.PutKeyPolicy"] == 1
