"""Carries a Dockerfile out without Docker: its steps, in roots of their own.

Every stage gets an overlay over this machine's own files, which stand in for the base
image: what they lack or have in excess is the one thing this cannot show. Needs root.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

__all__ = ["Image", "Stage", "read_dockerfile", "roots_possible"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What every official image starts with."""


@dataclass
class Stage:
    """One ``FROM`` and what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        """Return what the last such instruction says."""
        return [value for name, value in self.steps if name == instruction][-1]

    def environment(self) -> dict[str, str]:
        """Return what all ``ENV`` set."""
        pairs = [
            pair
            for name, value in self.steps
            if name == "ENV"
            for pair in shlex.split(value)
        ]
        return dict(pair.split("=", 1) for pair in pairs)


def read_dockerfile(path: Path) -> tuple[dict[str, str], list[Stage]]:
    """Return the arguments with their defaults, and the stages."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(str.strip, lines):
        instruction, _, value = line.strip().partition(" ")
        if instruction == "ARG":
            name, _, default = value.partition("=")
            arguments[name] = default
        elif instruction == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append((instruction, value.strip()))
    return arguments, stages


def roots_possible() -> None:
    """Go on only where roots can be made; CI has to be such a place."""
    tried = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay"
    tried += " none -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r"
    possible = bool(shutil.which("setpriv") and shutil.which("ip"))
    if possible and os.geteuid() == 0 and not _unshared("-c", tried).returncode:
        return
    reason = "needs root and mount namespaces"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Image:
    """The steps of a Dockerfile as one shell script."""

    dockerfile: Path
    context: Path

    def run(
        self,
        checks: str,
        *,
        directory: Path,
        configuration: Path,
        environment: Mapping[str, str],
    ) -> dict[str, str]:
        """Build it and run *checks*, a shell script, in the last stage's root.

        Its standard output holds lines of ``name<TAB>JSON string``; these are returned.
        ``in_image`` runs a command as the image's user on a root that cannot be written
        to, without a network; ``$root`` is where that root is.
        """
        _, stages = read_dockerfile(self.dockerfile)
        lines = ["set -eu", "mount --make-rprivate /", f"cd {_quoted(directory)}"]
        lines += ["mkdir -p mnt", "mount -t tmpfs none mnt", "cd mnt"]
        for stage in stages:
            lines += self._stage(stage)
        lines += _sealed(stages[-1], configuration, environment)
        (directory / "checks.sh").write_text("\n".join([*lines[-1:], checks]))
        script = "\n".join([*lines[:-1], "cd ..", "unshare --net bash -eu checks.sh"])
        (directory / "build.sh").write_text(script)
        done = _unshared(str(directory / "build.sh"))
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        rows = (line.split("\t", 1) for line in done.stdout.splitlines())
        return {row[0]: json.loads(row[1]) for row in rows if len(row) == 2}

    def _stage(self, stage: Stage) -> Iterator[str]:
        root = f"{stage.name}/root"
        yield f"mkdir -p {stage.name}/upper {stage.name}/work {root}"
        yield (
            f"mount -t overlay none -o lowerdir=/,upperdir={stage.name}/upper,"
            f"workdir={stage.name}/work {root}"
        )
        # The base image: `python`, for everybody; and nothing of ours.
        programs = Path(sys.base_prefix, "bin")
        yield f"ln -sf python3.{sys.version_info.minor} {root}{programs}/python"
        yield f"chmod a+x {root}/root; rm -rf {root}/opt/warmline"
        yield f"mount --rbind /proc {root}/proc; mount --rbind /dev {root}/dev"
        environment = {"PATH": f"{programs}:{_PATH}"}
        directory = "/"
        for instruction, value in stage.steps:
            if instruction == "ENV":
                environment |= dict(pair.split("=", 1) for pair in shlex.split(value))
            elif instruction == "WORKDIR":
                directory = value
                yield f"mkdir -p {root}{directory}"
            elif instruction == "COPY":
                yield self._copy(root, directory, value)
            elif instruction == "RUN":
                command = re.sub(r"--mount=\S+\s+", "", value)
                words = _words(environment)
                inner = f"cd {directory}; {command}"
                yield f"chroot {root} env {words} sh -euc {shlex.quote(inner)} >&2"

    def _copy(self, root: str, directory: str, value: str) -> str:
        *sources, target = value.split()
        into = (
            f"{root}{target}"
            if target.startswith("/")
            else (f"{root}{directory}/{target.removeprefix('./')}")
        )
        if sources[0].startswith("--from="):
            stage = sources.pop(0).removeprefix("--from=")
            paths = [f"{stage}/root{source}" for source in sources]
        else:
            paths = [_quoted(self.context / source) for source in sources]
        if target.endswith("/"):
            return f"mkdir -p {into}; cp -a {' '.join(paths)} {into}"
        return (
            f"mkdir -p $(dirname {into}); cp -aT {paths[0]} {into}; "
            f"find {into} -name __pycache__ -path '{root}/src/*' -prune "
            "-exec rm -r {} +"
        )


def _sealed(
    stage: Stage, configuration: Path, environment: Mapping[str, str]
) -> list[str]:
    """Return what makes the last root what a careful runtime makes of it."""
    user, group = stage.last("USER").split(":")
    words = _words({**stage.environment(), **environment})
    name = stage.name
    root = f"$PWD/mnt/{name}/root"
    return [
        f"chown -R 0:0 {name}/root/opt/warmline; mkdir -p {name}/root/etc/warmline",
        f"mount -o remount,ro {name}/root",
        f"mount --bind {_quoted(configuration)} {name}/root/etc/warmline",
        f"mount -t tmpfs none {name}/root/tmp",
        f"mount -t tmpfs -o uid={user},gid={group} none {name}/root/var/lib/warmline",
        f"""ip link set lo up
root="{root}"
in_image() {{
  exec chroot "$root" setpriv --reuid={user} --regid={group} --clear-groups \\
    --no-new-privs --bounding-set=-all \\
    env -i --chdir={stage.last("WORKDIR")} {words} "$@"
}}""",
    ]


def _unshared(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shell with mounts of its own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "UV_PROJECT"))
    }
    return subprocess.run(  # noqa: S603 - the tests' own words
        [str(shutil.which("unshare")), "--mount", "bash", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
        env=environment,
    )


def _words(environment: Mapping[str, str]) -> str:
    return " ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items())


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
