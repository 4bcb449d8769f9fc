"""The certificates of one node as objects, for transports without an `ssl` context."""

from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backhaul.errors import SettingsError
from backhaul.pki import TlsFiles

__all__ = ["LinkCredentials"]


@dataclass(frozen=True, slots=True)
class LinkCredentials:
    """Who this node is on links, and whom it believes."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey
    authority_pem: bytes

    @classmethod
    def load(cls, files: TlsFiles) -> Self:
        """Read *files*.

        Raises:
            SettingsError: If they cannot be read or used.
        """
        try:
            first, *chain = x509.load_pem_x509_certificates(
                files.certificate.read_bytes()
            )
            key = serialization.load_pem_private_key(
                files.key.read_bytes(), password=None
            )
            authority_pem = files.ca.read_bytes()
            x509.load_pem_x509_certificates(authority_pem)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
            where = files.certificate.parent
            raise SettingsError((f"{where}: link certificates: {exc}",)) from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError((f"{files.key}: not an elliptic curve key",))
        return cls(first, tuple(chain), key, authority_pem)
