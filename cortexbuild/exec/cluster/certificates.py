"""An authority of a team's own, and what it certifies: that a machine is one of its cluster."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

DAYS = 825
"""For which a certificate counts; an authority does for ten times as long."""


def certificates(folder: Path, name: str) -> list[Path]:
    """Make a certificate of that name, and the authority first where the folder has none.

    Gives the files that are new: `ca.pem`, `ca.key` (for this alone), `NAME.pem`, `NAME.key`.
    """
    if not name.replace("-", "").replace(".", "").replace("_", "").isalnum() or name == "ca":
        raise UsageError(f"`{name}` is no name for a certificate", hint="such as `team` or `mac-1`")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    if not (folder / "ca.pem").exists():
        key = _new_key()
        _keep(folder / "ca.key", key)
        _publish(folder / "ca.pem", _certify("cortexbuild cluster", key, None, 10 * DAYS))
        made += [folder / "ca.pem", folder / "ca.key"]
    authority = _authority(folder)
    key = _new_key()
    _keep(folder / f"{name}.key", key)
    _publish(folder / f"{name}.pem", _certify(name, key, authority, DAYS))
    return [*made, folder / f"{name}.pem", folder / f"{name}.key"]


def _authority(folder: Path) -> tuple[Certificate, EllipticCurvePrivateKey]:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        certificate = load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder}: its authority cannot be used: {error}",
            hint="certificates are made where `ca.key` is; or begin in a new folder",
        ) from None
    assert isinstance(key, EllipticCurvePrivateKey), "we make no others"
    return certificate, key


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _keep(path: Path, key: EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise UsageError(f"there is {path} already", hint="give the new one another name") from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)


def _publish(path: Path, certificate: Certificate) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    path.write_bytes(certificate.public_bytes(Encoding.PEM))


def _certify(
    name: str,
    key: EllipticCurvePrivateKey,
    authority: tuple[Certificate, EllipticCurvePrivateKey] | None,
    days: int,
) -> Certificate:
    """By an authority, or by itself, which makes it one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signs = (authority[0].subject, authority[1]) if authority else (subject, key)
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return built.sign(signs, hashes.SHA256())
