"""Put the secrets of a deployment where its tasks read them: AWS Secrets Manager.

    python terraform/put_secrets.py terraform/environments/prod --pki pki

Keys come from this process's environment (TWILIO_AUTH_TOKEN, OPENAI_API_KEY, and what
`agent_secrets` names), certificates of links from the directory that `warmline pki`
filled; tokens of admin listeners and stores are made here. What the environment does
not say stays as it was, so a rotation names one variable only. Nothing passes through
Terraform or its state, and nothing secret through a command line.

Needs `terraform` and `aws`, logged in to the account.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT_S = 900.0
"""For one command (s); a store takes minutes to change its token."""
_LINK_FILES = {
    "LINK_CA": "ca.pem",
    "LINK_CERTIFICATE": "{certificate}.pem",
    "LINK_KEY": "{certificate}-key.pem",
}

_Json = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """One service of the deployment, as Terraform's output describes it."""

    region: str
    facts: _Json

    def secret(self) -> dict[str, str]:
        """Return what its secret holds now."""
        code, said = _aws(
            self.region,
            ("secretsmanager", "get-secret-value"),
            {"SecretId": self.facts["secret"]},
        )
        if code == 0:
            held: dict[str, str] = json.loads(json.loads(said)["SecretString"])
            return held
        if "ResourceNotFoundException" in said:
            return {}  # the secret is there, but has no value yet
        raise SystemExit(said)

    def put(self, values: Mapping[str, str]) -> None:
        """Give its secret these *values*, and start its tasks anew with them."""
        _must(
            self.region,
            ("secretsmanager", "put-secret-value"),
            {"SecretId": self.facts["secret"], "SecretString": json.dumps(values)},
        )
        _must(
            self.region,
            ("ecs", "update-service"),
            {
                "cluster": self.facts["cluster"],
                "service": self.facts["service"],
                "forceNewDeployment": True,
            },
        )

    def protect_store(self) -> str:
        """Give its store a token; return the URL with it.

        A store that had none takes both sides of a ROTATE, and only the token after
        the SET.
        """
        token, group = secrets.token_hex(32), self.facts["redis_group"]
        for strategy in ("ROTATE", "SET"):
            _must(
                self.region,
                ("elasticache", "modify-replication-group"),
                {
                    "ReplicationGroupId": group,
                    "AuthToken": token,
                    "AuthTokenUpdateStrategy": strategy,
                    "ApplyImmediately": True,
                },
            )
            _must(
                self.region,
                ("elasticache", "wait", "replication-group-available"),
                {"ReplicationGroupId": group},
            )
        return f"rediss://:{token}@{self.facts['redis_endpoint']}:6379/0"


def main(arguments: list[str] | None = None) -> int:
    """Put every secret; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("directory", type=Path, help="where terraform was applied")
    parser.add_argument("--pki", type=Path, default=Path("pki"))
    options = parser.parse_args(arguments)
    plans: list[tuple[Service, dict[str, str]]] = []
    missing: list[str] = []
    for service in _services(options.directory):
        held = service.secret()
        values = held | dict(_given(service, held, options.pki))
        facts = service.facts
        absent = set(facts["secret_names"]) - values.keys() - {"REDIS_URL"}
        where = f"{facts['service']} in {service.region}"
        missing += [f"{where}: {name}" for name in sorted(absent)]
        plans.append((service, values))
    if missing:
        sys.stderr.writelines(f"missing: {line}\n" for line in missing)
        return 2
    for service, values in plans:
        if "REDIS_URL" in service.facts["secret_names"] and "REDIS_URL" not in values:
            values["REDIS_URL"] = service.protect_store()
        service.put(values)
        sys.stdout.write(
            f"{service.region}: {service.facts['service']} has its secrets\n"
        )
    return 0


def _services(directory: Path) -> Iterator[Service]:
    code, said = _run(
        ["terraform", f"-chdir={directory}", "output", "-json", "deployment"]
    )
    if code:
        raise SystemExit(said)
    deployment = json.loads(said)
    for kind in ("agents", "edges"):
        for facts in deployment[kind].values():
            yield Service(facts["region"], facts)


def _given(
    service: Service, held: Mapping[str, str], pki: Path
) -> Iterator[tuple[str, str]]:
    """Return what is new for *service*: from the environment, from files, or made."""
    for name in service.facts["secret_names"]:
        if name in _LINK_FILES:
            file = _LINK_FILES[name].format(certificate=service.facts["certificate"])
            if (pki / file).is_file():
                yield name, (pki / file).read_text(encoding="utf-8")
        elif name in os.environ:
            yield name, os.environ[name]
        elif name.endswith("_ADMIN_TOKEN") and name not in held:
            yield name, secrets.token_urlsafe(32)


def _must(region: str, command: tuple[str, ...], given: _Json) -> None:
    code, said = _aws(region, command, given)
    if code:
        raise SystemExit(said)


def _aws(region: str, command: tuple[str, ...], given: _Json) -> tuple[int, str]:
    """Run one command of the AWS CLI; what it is given goes over its standard input."""
    words = ["aws", "--region", region, "--output", "json", *command]
    return _run(
        [*words, "--cli-input-json", "file:///dev/stdin"], stdin=json.dumps(given)
    )


def _run(command: list[str], *, stdin: str = "") -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603 - the commands are those above
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


if __name__ == "__main__":
    sys.exit(main())
