"""Secrets are put where tasks read them, and nowhere else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.schema import TREE

SERVICE = {
    "region": "eu-west-1",
    "cluster": "warmline-edge",
    "service": "warmline-edge",
    "secret": "arn:edge",
    "certificate": "edge-eu-west-1",
    "secret_names": [
        "EDGE_ADMIN_TOKEN",
        "LINK_CA",
        "LINK_CERTIFICATE",
        "LINK_KEY",
        "TWILIO_AUTH_TOKEN",
    ],
}
AGENT = {
    "region": "us-east-1",
    "cluster": "warmline-agent",
    "service": "warmline-agent",
    "secret": "arn:agent",
    "certificate": "region-agent-us-east-1",
    "redis_group": "warmline-agent",
    "redis_endpoint": "store.example.com",
    "secret_names": [
        "BOOKING_TOKEN",
        "LINK_CA",
        "LINK_CERTIFICATE",
        "LINK_KEY",
        "OPENAI_API_KEY",
        "REDIS_URL",
        "REGION_AGENT_ADMIN_TOKEN",
    ],
}
DEPLOYMENT = {"agents": {"us-east-1": AGENT}, "edges": {"eu-west-1-1": SERVICE}}
KEYS = {
    "TWILIO_AUTH_TOKEN": "auth-token-1",
    "OPENAI_API_KEY": "sk-secret-1",
    "BOOKING_TOKEN": "booking-1",
}
AWS = """#!{python}
import json, pathlib, sys
given = json.load(sys.stdin)
here = pathlib.Path({here!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([sys.argv[1:], given]) + "\\n")
if "put-secret-value" in sys.argv:
    (here / given["SecretId"]).write_text(given["SecretString"])
if "get-secret-value" in sys.argv:
    held = here / given["SecretId"]
    if not held.exists():
        sys.exit("An error occurred (ResourceNotFoundException): no value")
    print(json.dumps({{"SecretString": held.read_text()}}))
"""
TERRAFORM = "#!{python}\nprint({output!r})\n"


class Account:
    """Stands in for an AWS account: the commands `aws` and `terraform`, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._write("aws", AWS.format(python=sys.executable, here=str(folder)))
        output = json.dumps(DEPLOYMENT)
        self._write("terraform", TERRAFORM.format(python=sys.executable, output=output))
        pki = folder / "pki"
        pki.mkdir()
        for name in ("ca", *self._leaves()):
            (pki / f"{name}.pem").write_text(f"certificate of {name}\n")
            (pki / f"{name}-key.pem").write_text(f"key of {name}\n")

    def _leaves(self) -> tuple[str, str]:
        return "edge-eu-west-1", "region-agent-us-east-1"

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def put(self, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run the script with *environment*."""
        path = f"{self.folder}:{os.environ['PATH']}"
        pki = ("--pki", str(self.folder / "pki"))
        return subprocess.run(  # noqa: S603 - the script under test
            [sys.executable, str(TREE / "put_secrets.py"), "somewhere", *pki],
            env=environment | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def calls(self) -> list[tuple[list[str], dict[str, Any]]]:
        """Return every command that `aws` was given, with its input."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [tuple(json.loads(line)) for line in lines]

    def secret(self, name: str) -> dict[str, str]:
        """Return what a secret holds."""
        held: dict[str, str] = json.loads((self.folder / name).read_text())
        return held


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def test_every_service_gets_its_own(account: Account) -> None:
    done = account.put(KEYS)
    assert done.returncode == 0, done.stderr
    edge, agent = account.secret("arn:edge"), account.secret("arn:agent")
    assert sorted(edge) == SERVICE["secret_names"]
    assert sorted(agent) == AGENT["secret_names"]
    assert edge["TWILIO_AUTH_TOKEN"] == "auth-token-1"
    assert edge["LINK_KEY"] == "key of edge-eu-west-1\n"
    assert agent["LINK_KEY"] == "key of region-agent-us-east-1\n"
    assert agent["OPENAI_API_KEY"] == "sk-secret-1"
    assert len(edge["EDGE_ADMIN_TOKEN"]) >= 32


def test_a_store_has_the_token_that_its_url_says(account: Account) -> None:
    account.put(KEYS)
    changes = [
        given for words, given in account.calls() if "modify-replication-group" in words
    ]
    assert [one["AuthTokenUpdateStrategy"] for one in changes] == ["ROTATE", "SET"]
    (token,) = {one["AuthToken"] for one in changes}
    url = account.secret("arn:agent")["REDIS_URL"]
    assert url == f"rediss://:{token}@store.example.com:6379/0"


def test_tasks_start_anew_in_their_own_region(account: Account) -> None:
    account.put(KEYS)
    updated = {
        (words[words.index("--region") + 1], given["service"])
        for words, given in account.calls()
        if "update-service" in words
    }
    assert updated == {("us-east-1", "warmline-agent"), ("eu-west-1", "warmline-edge")}


def test_no_secret_is_on_a_command_line_or_printed(account: Account) -> None:
    done = account.put(KEYS)
    values = {
        *account.secret("arn:edge").values(),
        *account.secret("arn:agent").values(),
    }
    shown = done.stdout + done.stderr
    shown += " ".join(word for words, _ in account.calls() for word in words)
    assert not [value for value in values if value in shown]


def test_a_rotation_changes_what_it_names(account: Account) -> None:
    account.put(KEYS)
    before = account.secret("arn:agent")
    assert account.put({"OPENAI_API_KEY": "sk-secret-2"}).returncode == 0
    after = account.secret("arn:agent")
    assert after == before | {"OPENAI_API_KEY": "sk-secret-2"}


def test_nothing_is_put_while_something_is_missing(account: Account) -> None:
    done = account.put({"OPENAI_API_KEY": "sk-secret-1"})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "missing: warmline-agent in us-east-1: BOOKING_TOKEN",
        "missing: warmline-edge in eu-west-1: TWILIO_AUTH_TOKEN",
    ]
    assert all("get-secret-value" in words for words, _ in account.calls())
