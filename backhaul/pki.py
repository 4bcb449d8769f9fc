"""Identities on links: the development PKI, TLS contexts and the peer's role.

A certificate says who its owner is in one SAN URI, ``warmline://<role>/<name>``. The
name of a region agent is its region: edges check that they reached the right one.
"""

import datetime as dt
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from backhaul.clock import unix_s
from backhaul.errors import RemoteProtocolError, SettingsError

__all__ = [
    "PeerIdentity",
    "Role",
    "TlsFiles",
    "certificate_problems",
    "client_context",
    "create_authority",
    "issue",
    "peer_identity",
    "server_context",
]

_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 397
_RENEW_BEFORE = dt.timedelta(days=30)
_SKEW = dt.timedelta(minutes=5)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A name is a DNS label or more, and a part of a file name."""


class Role(StrEnum):
    """What the owner of a certificate is."""

    EDGE = "edge"
    REGION_AGENT = "region-agent"


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who a certificate was issued to."""

    role: Role
    name: str


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The three PEM files of one node."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, directory: Path, role: Role, name: str) -> Self:
        """Return the files as `issue` names them."""
        stem = f"{role.value}-{name}"
        return cls(
            ca=directory / "ca.pem",
            certificate=directory / f"{stem}.pem",
            key=directory / f"{stem}-key.pem",
        )


def create_authority(directory: Path) -> None:
    """Make ca.pem and ca-key.pem in *directory*; an existing authority stays."""
    certificate_path, key_path = directory / "ca.pem", directory / "ca-key.pem"
    if certificate_path.exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Warmline link CA")])
    certificate = (
        _builder(name, name, key.public_key(), days=_AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(_key_identifier(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    _write_certificate(certificate_path, certificate)


def issue(directory: Path, role: Role, name: str, *, force: bool = False) -> TlsFiles:
    """Issue a certificate to *name*; a good one that exists already stays.

    Args:
        directory: Where the authority is and the certificate goes.
        role: What the owner is.
        name: The edge's name, or the agent's region.
        force: Replace a certificate that is still good.

    Raises:
        SettingsError: If there is no authority in *directory*, or *name* is not
            letters, digits, dots, hyphens and underscores.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError((f"certificate: {name!r} is no name of a node",))
    files = TlsFiles.of(directory, role, name)
    # Whatever is wrong with it, another authority's signature included, a new
    # certificate puts it right.
    if not force and not certificate_problems(files, now_unix_s=unix_s()):
        return files
    ca, ca_key = _load_authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    uri = f"warmline://{role.value}/{name}"
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName(name)]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        _builder(subject, ca.subject, key.public_key(), days=_LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_key_identifier(key.public_key()), critical=False)
        .add_extension(_issuer_identifier(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(files.key, key)
    _write_certificate(files.certificate, certificate)
    return files


def _load_authority(
    directory: Path,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        ca = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
        ca_key = serialization.load_pem_private_key(
            (directory / "ca-key.pem").read_bytes(), password=None
        )
    except (OSError, ValueError, TypeError) as exc:
        raise SettingsError((f"{directory}: no usable authority: {exc}",)) from exc
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - our own kind
    return ca, ca_key


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context for accepting links: TLS 1.3, client certificate required.

    It offers both protocols that links over TCP speak.
    """
    return _context(ssl.PROTOCOL_TLS_SERVER, files, alpn=("h2", "http/1.1"))


def client_context(files: TlsFiles, *, alpn: str = "http/1.1") -> ssl.SSLContext:
    """Return a context for opening links: TLS 1.3, our certificate shown.

    The host name is not compared: the role URI is checked after the handshake.

    Args:
        files: Our certificate.
        alpn: The one protocol that will be spoken.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, files, alpn=(alpn,))


def peer_identity(certificate: Mapping[str, Any]) -> PeerIdentity:
    """Return who a verified certificate (as ``getpeercert()`` gives it) belongs to.

    Raises:
        RemoteProtocolError: If it does not name exactly one role.
    """
    prefix = "warmline://"
    uris = [
        value.removeprefix(prefix)
        for kind, value in certificate.get("subjectAltName", ())
        if kind == "URI" and value.startswith(prefix)
    ]
    if len(uris) != 1:
        raise RemoteProtocolError("certificate names no single role")
    role, _, name = uris[0].partition("/")
    if role not in set(Role) or not _NAME.fullmatch(name):
        raise RemoteProtocolError("certificate names an unknown role")
    return PeerIdentity(Role(role), name)


def certificate_problems(files: TlsFiles, *, now_unix_s: float) -> tuple[str, ...]:
    """Return one line per reason why links with *files* would fail, or soon will."""
    try:
        ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except OSError as exc:
        return (f"{exc.filename}: {exc.strerror}",)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # TypeError is a key under a password: nobody is there to type it.
        return (f"{files.certificate}: certificate or key cannot be read",)
    found: list[str] = []
    if not _is_issued_by(certificate, ca):
        found.append(f"{files.certificate}: not issued by {files.ca}")
    if key.public_key() != certificate.public_key():
        found.append(f"{files.key}: does not belong to {files.certificate}")
    if files.key.stat().st_mode & 0o077:
        found.append(f"{files.key}: readable by others; chmod 600")
    now = dt.datetime.fromtimestamp(now_unix_s, tz=dt.UTC)
    found += _lifetime_problems(files.certificate, certificate, now)
    found += _lifetime_problems(files.ca, ca, now)
    return tuple(found)


def _is_issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _lifetime_problems(
    path: Path, certificate: x509.Certificate, now: dt.datetime
) -> tuple[str, ...]:
    if now < certificate.not_valid_before_utc:
        return (f"{path}: not valid yet; check the clock",)
    left = certificate.not_valid_after_utc - now
    if left < dt.timedelta(0):
        return (f"{path}: expired",)
    return (f"{path}: expires in {left.days} days",) if left < _RENEW_BEFORE else ()


def _context(protocol: int, files: TlsFiles, *, alpn: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(alpn)
    try:
        context.load_verify_locations(files.ca)
        # Without a password, OpenSSL would stop and ask for one on the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (OSError, ssl.SSLError) as exc:
        where = files.certificate.parent
        raise SettingsError((f"{where}: link certificates: {exc}",)) from exc
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.fromtimestamp(unix_s(), tz=dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_identifier(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _issuer_identifier(
    key: ec.EllipticCurvePublicKey,
) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # Created unreadable for others; a chmod afterwards would come too late.
    path.unlink(missing_ok=True)
    with open(path, "wb", opener=_open_private) as file:
        file.write(pem)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
