"""The options of AWS: as whom requests are signed, and for which region."""

import http.server
import threading

import pytest

PROFILES = """
[profile prod]
region = eu-west-1
aws_access_key_id = PROD
aws_secret_access_key = secret

[profile chained]
source_profile = prod

[profile empty]
output = json

[profile borrowing]
role_arn = arn:aws:iam::123456789012:role/other
credential_source = Environment
"""


@pytest.fixture
def signed(tool):
    """Runs the tool against a server that denies everything; gives the signer and the region of each request."""
    seen = []

    class Denies(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            identity, _, region, *_ = self.headers["Authorization"].split("Credential=")[1].split("/")
            seen.append((identity, region))
            body = b'{"__type": "AccessDeniedException"}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    (tool.folder / "config").write_text(PROFILES)
    tool.env |= {"AWS_CONFIG_FILE": str(tool.folder / "config"), "AWS_ACCESS_KEY_ID": "ENVIRONMENT"}
    del tool.env["AWS_REGION"], tool.env["AWS_ENDPOINT_URL"]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denies)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"

    def run(*arguments, status=5, **env):
        seen.clear()
        arguments = [argument.format(endpoint) for argument in arguments]
        env = {name: value.format(endpoint) for name, value in env.items()}
        tool.fails(status, "kms", "show-policy", "alias/lake", *arguments, env=env)
        return list(seen)

    yield run
    server.shutdown()
    server.server_close()


def test_a_profile_that_is_named_wins_over_credentials_of_the_environment(signed, tool):
    assert signed("--profile", "prod", "--endpoint-url", "{}") == [("PROD", "eu-west-1")]
    assert signed("--profile", "prod", AWS_ENDPOINT_URL="{}", AWS_SESSION_TOKEN="token") == [("PROD", "eu-west-1")]
    # As for the AWS CLI, one that the environment names does not.
    assert signed("--endpoint-url", "{}", AWS_PROFILE="prod") == [("ENVIRONMENT", "eu-west-1")]


def test_a_profile_without_credentials_gets_none_of_the_environment(signed, tool):
    token = tool.folder / "token"
    token.write_text("token")
    role = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/pod", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    assert signed("--profile", "empty", "--endpoint-url", "{}", status=1, **role) == []


@pytest.mark.parametrize("profile", ["typo", "borrowing"])
def test_a_profile_that_cannot_be_used_is_refused(signed, profile):
    assert signed("--profile", profile, "--endpoint-url", "{}", status=2) == []


def test_an_endpoint_changes_no_region_that_is_known(signed):
    for arguments, env, region in (
        ([], {}, "us-east-1"),
        ([], {"AWS_PROFILE": "prod"}, "eu-west-1"),
        ([], {"AWS_PROFILE": "chained"}, "eu-west-1"),
        ([], {"AWS_PROFILE": "prod", "AWS_DEFAULT_REGION": "eu-north-1"}, "eu-north-1"),
        (["--region", "eu-south-1"], {"AWS_PROFILE": "prod", "AWS_REGION": "eu-north-1"}, "eu-south-1"),
    ):
        assert signed("--endpoint-url", "{}", *arguments, **env) == [("ENVIRONMENT", region)]


def test_an_endpoint_that_is_named_wins_over_those_of_the_environment(signed):
    elsewhere = {f"AWS_ENDPOINT_URL{service}": "http://127.0.0.1:1" for service in ("", "_KMS", "_STS")}
    assert signed("--endpoint-url", "{}", **elsewhere)
    assert signed("--endpoint-url", "http://127.0.0.1:1", "--kms-endpoint-url", "{}", **elsewhere)
