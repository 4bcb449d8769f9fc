"""Write the files that a service reads, from environment variables that ECS fills.

It runs as a container of its own before the service, so that the private key of the
links is in no environment variable of the process that talks to the world.
"""

import os
import sys
import tomllib
import urllib.request
from pathlib import Path

import tomli_w

_TIMEOUT_S = 5.0
_TRIES = 3


def main() -> None:
    """Write configuration and certificate, and give the directories to the service."""
    owner = int(os.environ["UNPACK_OWNER"])
    directory = Path(os.environ["UNPACK_DIRECTORY"])
    pki = directory / "pki"
    pki.mkdir(parents=True, exist_ok=True)
    stem = os.environ["LINK_NAME"]
    files = {
        directory / "warmline.toml": configuration(),
        pki / "ca.pem": os.environ["LINK_CA"],
        pki / f"{stem}.pem": os.environ["LINK_CERTIFICATE"],
        pki / f"{stem}-key.pem": os.environ["LINK_KEY"],
    }
    for path, text in files.items():
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    # Volumes begin as root's.
    volumes = map(Path, os.environ["UNPACK_VOLUMES"].split(":"))
    for each in (directory, pki, *files, *volumes):
        os.chown(each, owner, owner)


def configuration() -> str:
    """Return the configuration, with the address of this task if it has one."""
    text = os.environ["WARMLINE_CONFIG"]
    port = os.environ.get("ADVERTISE_PORT")
    address = public_address() if port else None
    if address is None:
        return text
    tables = tomllib.loads(text)
    tables.setdefault("region_agent", {})["advertise_address"] = f"{address}:{port}"
    return tomli_w.dumps(tables)


def public_address() -> str | None:
    """Return the address that others see, None if nobody says it.

    Edges then reach this agent through the load balancer only.
    """
    for _ in range(_TRIES):
        try:
            with urllib.request.urlopen(  # noqa: S310 - the URL is Terraform's
                os.environ["ADDRESS_URL"], timeout=_TIMEOUT_S
            ) as answer:
                return str(answer.read(64), "ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            sys.stderr.write(f"address of this task is unknown: {exc}\n")
    return None


if __name__ == "__main__":
    main()
