"""The development PKI: who is let in over a real TLS handshake, and who is not."""

import asyncio
import contextlib
import datetime as dt
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backhaul.clock import unix_s
from backhaul.errors import RemoteProtocolError, SettingsError
from backhaul.pki import (
    PeerIdentity,
    Role,
    TlsFiles,
    certificate_problems,
    client_context,
    create_authority,
    issue,
    peer_identity,
    server_context,
)

DAY_S = 86_400.0


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    create_authority(tmp_path)
    return tmp_path


async def handshake(
    server: TlsFiles, client: TlsFiles, *, context: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """Return the client's certificate as the server saw it."""
    seen: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("peercert"))
        writer.write(await reader.read(1))
        writer.close()

    listener = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=server_context(server)
    )
    try:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context or client_context(client)
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(_close, writer)
            tls = writer.get_extra_info("ssl_object")
            assert tls.version() == "TLSv1.3"
            writer.write(b"x")
            # In TLS 1.3 the client learns with its first read that it was refused.
            assert await reader.readexactly(1) == b"x"
            return await seen
    finally:
        listener.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()


async def test_both_sides_know_each_other(pki: Path) -> None:
    agent = issue(pki, Role.REGION_AGENT, "us-east")
    edge = issue(pki, Role.EDGE, "edge-1")
    certificate = await handshake(agent, edge)
    assert peer_identity(certificate) == PeerIdentity(Role.EDGE, "edge-1")


async def test_another_authority_is_refused(pki: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    create_authority(other)
    stranger = issue(other, Role.EDGE, "edge-1")
    agent = issue(pki, Role.REGION_AGENT, "us-east")
    knows_us = TlsFiles(pki / "ca.pem", stranger.certificate, stranger.key)
    refused = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)
    with pytest.raises(refused):
        await handshake(agent, knows_us)


def test_a_good_certificate_is_kept_and_a_forced_one_is_new(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    first = files.certificate.read_bytes()
    assert issue(pki, Role.EDGE, "edge-1").certificate.read_bytes() == first
    issue(pki, Role.EDGE, "edge-1", force=True)
    assert files.certificate.read_bytes() != first


def test_an_authority_is_never_replaced(pki: Path) -> None:
    before = (pki / "ca.pem").read_bytes(), (pki / "ca-key.pem").read_bytes()
    create_authority(pki)
    assert ((pki / "ca.pem").read_bytes(), (pki / "ca-key.pem").read_bytes()) == before


def test_keys_are_for_their_owner_alone(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    for key in (files.key, pki / "ca-key.pem"):
        assert key.stat().st_mode & 0o777 == 0o600


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no usable authority"):
        issue(tmp_path, Role.EDGE, "edge-1")


def test_the_certificate_is_for_both_ends_of_a_link_and_short(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert len(list(usage.value)) == 2
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life < dt.timedelta(days=398)


@pytest.mark.parametrize(
    "names",
    [
        (),
        (("DNS", "warmline://edge/e"),),
        (("URI", "https://edge/e"),),
        (("URI", "warmline://edge/"),),
        (("URI", "warmline://console/e"),),
        (("URI", "warmline://edge/e"), ("URI", "warmline://region-agent/e")),
    ],
)
def test_a_certificate_without_one_known_role_is_refused(
    names: tuple[tuple[str, str], ...],
) -> None:
    with pytest.raises(RemoteProtocolError):
        peer_identity({"subjectAltName": names})


def test_what_is_wrong_with_certificates_is_said(pki: Path, tmp_path: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    now = unix_s()
    assert certificate_problems(files, now_unix_s=now) == ()
    (soon,) = certificate_problems(files, now_unix_s=now + 380 * DAY_S)
    assert "expires in" in soon
    (expired,) = certificate_problems(files, now_unix_s=now + 400 * DAY_S)
    assert "expired" in expired
    files.key.chmod(0o644)
    (readable,) = certificate_problems(files, now_unix_s=now)
    assert "readable by others" in readable

    other = tmp_path / "other"
    create_authority(other)
    foreign = TlsFiles(other / "ca.pem", files.certificate, other / "ca-key.pem")
    lines = certificate_problems(foreign, now_unix_s=now)
    assert [("not issued by" in line, "belong" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]
    shutil.rmtree(other)
    (missing,) = certificate_problems(foreign, now_unix_s=now)
    assert "No such file" in missing
    files.certificate.write_text("nonsense")
    (garbled,) = certificate_problems(files, now_unix_s=now)
    assert "cannot be read" in garbled


def test_contexts_without_files_are_a_settings_error(tmp_path: Path) -> None:
    files = TlsFiles.of(tmp_path, Role.EDGE, "edge-1")
    with pytest.raises(SettingsError, match="link certificates"):
        client_context(files)


def expire(files: TlsFiles, authority: Path) -> None:
    """Sign *files*' certificate again, for a time that is over."""
    old = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    key = serialization.load_pem_private_key(
        (authority / "ca-key.pem").read_bytes(), password=None
    )
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = dt.datetime.fromtimestamp(unix_s(), tz=dt.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=old.serial_number,
        not_valid_before=now - dt.timedelta(days=2),
        not_valid_after=now - dt.timedelta(days=1),
        extensions=list(old.extensions),
    )
    certificate = builder.sign(key, hashes.SHA256())
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("late", [Role.EDGE, Role.REGION_AGENT])
async def test_an_expired_certificate_is_refused_on_either_side(
    pki: Path, late: Role
) -> None:
    agent = issue(pki, Role.REGION_AGENT, "us-east")
    edge = issue(pki, Role.EDGE, "edge-1")
    expired = edge if late is Role.EDGE else agent
    expire(expired, pki)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await handshake(agent, edge)
    assert "expired" in certificate_problems(expired, now_unix_s=unix_s())[0]
    issue(pki, late, "edge-1" if late is Role.EDGE else "us-east")
    await handshake(agent, edge)


async def test_a_server_of_another_authority_is_refused(
    pki: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    create_authority(other)
    stranger = issue(other, Role.REGION_AGENT, "us-east")
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(
            TlsFiles(pki / "ca.pem", stranger.certificate, stranger.key),
            issue(pki, Role.EDGE, "edge-1"),
        )


async def test_tls_below_1_3_is_refused(pki: Path) -> None:
    agent = issue(pki, Role.REGION_AGENT, "us-east")
    edge = issue(pki, Role.EDGE, "edge-1")
    old = ssl.create_default_context(cafile=str(edge.ca))
    old.check_hostname = False
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(edge.certificate, edge.key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(agent, edge, context=old)


def test_certificates_of_a_replaced_authority_are_issued_anew(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    (pki / "ca.pem").unlink()
    (pki / "ca-key.pem").unlink()
    create_authority(pki)
    issue(pki, Role.EDGE, "edge-1")
    assert certificate_problems(files, now_unix_s=unix_s()) == ()


def test_a_lost_key_is_made_anew(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    files.key.unlink()
    issue(pki, Role.EDGE, "edge-1")
    assert certificate_problems(files, now_unix_s=unix_s()) == ()


@pytest.mark.parametrize(
    "name", ["", "../edge", "a/b", "a b", "-a", "\u00fc", "a" * 64]
)
def test_a_name_that_is_no_name_is_refused(pki: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="no name of a node"):
        issue(pki, Role.EDGE, name)


def test_a_certificate_from_the_future_points_at_the_clock(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    lines = certificate_problems(files, now_unix_s=unix_s() - DAY_S)
    assert all("check the clock" in line for line in lines)
    assert len(lines) == 2


def test_a_key_under_a_password_is_a_problem_and_asks_nobody(pki: Path) -> None:
    files = issue(pki, Role.EDGE, "edge-1")
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert len(certificate_problems(files, now_unix_s=unix_s())) == 1
    with pytest.raises(SettingsError, match="link certificates"):
        server_context(files)
