"""The image: what its Dockerfile says, and what comes of its steps."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import tomli_w

from backhaul.pki import Role, create_authority, issue
from tests.integration.dockerfile import Image, read_dockerfile, roots_possible

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
ENVIRONMENT = {
    "EDGE_ADMIN_TOKEN": "token-of-edge",
    "REGION_AGENT_ADMIN_TOKEN": "token-of-agent",
    "TWILIO_AUTH_TOKEN": "token-of-twilio",
    "OPENAI_API_KEY": "key-of-openai",
}
CHECKS = r"""
tell() { python3 -c '
import json, sys
print(sys.argv[1], json.dumps(sys.argv[2]), sep="\t")' "$@"; }
tell installed "$(in_image python -c '
from importlib.metadata import distributions
for one in distributions(): print(one.name + "==" + one.version)' | sort)"
tell whose "$(in_image sh -c 'id -u; touch /opt/warmline/x /x 2>&1 || true')"
tell writable "$(in_image find /opt/warmline -writable -not -type l)"
tell uncompiled "$(in_image python -c '
import importlib.util, backhaul.admin as one
from pathlib import Path
print(Path(importlib.util.cache_from_source(one.__file__)).exists())')"
for service in edge region_agent; do
  config=/etc/warmline/warmline.toml
  (in_image $ENTRYPOINT $service --config $config) >$service.log 2>&1 &
  pid=$!
  rc=1
  for try in $(seq 75); do
    if (in_image "${HEALTH[@]}") >/dev/null 2>&1; then rc=0; break; fi
    sleep 0.2
  done
  tell $service.health "$rc"
  kill -TERM $pid || true
  wait $pid && rc=0 || rc=$?
  tell $service.exit "$rc"
  tell $service.log "$(cat $service.log)"
  (in_image "${HEALTH[@]}") >/dev/null 2>&1 && rc=0 || rc=$?
  tell $service.health_after "$rc"
done
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what is found in the image, and of both services that ran in it."""
    roots_possible()
    directory = tmp_path_factory.mktemp("image")
    etc = directory / "etc"
    write_configuration(etc)
    _, stages = read_dockerfile(DOCKERFILE)
    health = stages[-1].last("HEALTHCHECK").partition("CMD ")[2]
    entry = json.loads(stages[-1].last("ENTRYPOINT"))
    words = " ".join(f"{json.dumps(word)}" for word in json.loads(health))
    head = f"ENTRYPOINT={json.dumps(' '.join(entry))}\nHEALTH=({words})\n"
    return Image(DOCKERFILE, ROOT).run(
        head + CHECKS,
        directory=directory,
        configuration=etc,
        environment=ENVIRONMENT,
    )


def write_configuration(directory: Path) -> None:
    pki = directory / "pki"
    create_authority(pki)
    issue(pki, Role.EDGE, "one")
    issue(pki, Role.REGION_AGENT, "us")
    tables = {
        "numbers": {"*": "desk"},
        "profiles": {"desk": {"instructions": "Be brief."}},
        "regions": {"us": {"agents": ["127.0.0.1:7443"]}},
        "edges": {
            "one": {
                "public_url": "https://edge.example.com",
                "drain_timeout_s": 1,
            }
        },
        "region_agent": {
            "region": "us",
            "drain_timeout_s": 1,
            "realtime_url": "ws://127.0.0.1:9/v1/realtime",
        },
    }
    (directory / "warmline.toml").write_text(tomli_w.dumps(tables))
    for path in (directory, *directory.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, 10001, 10001)


def test_the_base_image_can_be_pinned_and_is_of_one_python() -> None:
    arguments, stages = read_dockerfile(DOCKERFILE)
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", arguments["PYTHON_IMAGE"])
    assert {stage.base for stage in stages} == {"${PYTHON_IMAGE}"}


def test_a_linter_has_nothing_to_say() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.prefix) / 'bin'}")
    assert program is not None
    done = subprocess.run(  # noqa: S603 - an installed program on our own file
        [program, DOCKERFILE], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_built_by_the_uv_that_the_project_uses() -> None:
    pinned = (ROOT / "deploy" / "docker" / "build.txt").read_text()
    used = re.search(r"uv==([\d.]+)", (ROOT / "Makefile").read_text())
    assert used is not None
    assert f"\nuv=={used[1]} " in pinned
    blocks = re.split(r"\n(?=[a-z])", pinned)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block[:40])


def test_nothing_is_copied_that_is_ignored_and_secrets_are() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert rules[0] == "*"
    _, stages = read_dockerfile(DOCKERFILE)
    copied = {
        source
        for name, value in stages[0].steps
        if name == "COPY"
        for source in value.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_health_is_asked_where_both_services_are_told_to_answer() -> None:
    _, stages = read_dockerfile(DOCKERFILE)
    environment = stages[-1].environment()
    ports = {environment["EDGE_ADMIN_PORT"], environment["REGION_AGENT_ADMIN_PORT"]}
    assert len(ports) == 1
    assert f"127.0.0.1:{ports.pop()}/livez" in stages[-1].last("HEALTHCHECK")


@pytest.mark.timeout(420)
def test_it_holds_what_the_lock_says_and_nothing_else(built: dict[str, str]) -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    locked = {f"{one['name']}=={one['version']}" for one in lock["package"]}
    installed = {normal(line) for line in built["installed"].splitlines()}
    assert installed <= locked
    assert f"warmline=={version('warmline')}" in installed
    assert not any(
        line.startswith(("pytest==", "mypy==", "uv==")) for line in installed
    )


@pytest.mark.timeout(420)
def test_its_user_may_write_nothing_of_it(built: dict[str, str]) -> None:
    user, *refusals = built["whose"].splitlines()
    assert user == "10001"
    assert len(refusals) == 2
    assert built["writable"] == ""
    assert built["uncompiled"] == "True"


@pytest.mark.timeout(420)
@pytest.mark.parametrize("service", ["edge", "region_agent"])
def test_both_services_live_on_a_root_that_is_read_only(
    built: dict[str, str], service: str
) -> None:
    log = built[f"{service}.log"]
    assert (built[f"{service}.health"], built[f"{service}.exit"]) == ("0", "0"), log
    assert built[f"{service}.health_after"] != "0"
    assert "Traceback" not in log


def normal(requirement: str) -> str:
    name, _, rest = requirement.partition("==")
    return re.sub(r"[-_.]+", "-", name).lower() + "==" + rest
