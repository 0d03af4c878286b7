"""The key that signs and the certificate that names its owner: the operator's own, else made here once.

A certificate made here proves only that two files come from the same installation: nobody has checked its name, so
others see "untrusted" unless they are given its `root.pem`. The root's private key is thrown away at once: no further
certificate can ever be issued under it.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muybridge.errors import UserError
from muybridge.trust.rules import Rules

VALID = datetime.timedelta(days=3650)  # a signature without a time-stamp cannot be checked any more after it
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Identity:
    """Who signs. PEM throughout; the chain has the leaf first."""

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: str  # as C2PA names it: es256, es384, es512, ed25519, ps256
    self_issued: bool


def open_identity(rules: Rules, folder: Path) -> Identity:
    """The operator's certificate, else the one in `folder`, which is made when there is none.

    Raises UserError for files that cannot sign: unreadable, open to others, expired, or of different keys.
    """
    if rules.certificate is not None and rules.key is not None:
        return _read(Path(rules.certificate), Path(rules.key), self_issued=False)
    if not (folder / "key.pem").exists():
        issue(folder, rules.organisation)
    return _read(folder / "chain.pem", folder / "key.pem", self_issued=True)


def issue(folder: Path, organisation: str) -> None:
    """Make `key.pem` (mode 0600), `chain.pem` and `root.pem` in a new folder: all of them or nothing.

    When several processes do it at once, the first one's stay.
    """
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)  # clocks of readers differ
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, leaf_name = (_name(organisation, what) for what in ("Local root, not verified", "Local signer"))
    root = (
        _certificate(root_name, root_name, root_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(leaf_name, root_name, leaf_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        # C2PA's readers take this purpose without further settings.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    root_pem, leaf_pem = (c.public_bytes(serialization.Encoding.PEM) for c in (root, leaf))
    key_pem = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".provenance-", dir=folder.parent))  # readable by us alone
    try:
        _write(made / "key.pem", key_pem, 0o600)
        _write(made / "chain.pem", leaf_pem + root_pem, 0o644)
        _write(made / "root.pem", root_pem, 0o644)
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not (folder / "key.pem").exists():  # nobody else was quicker: it is a real failure
            raise


def _read(certificate: Path, key: Path, self_issued: bool) -> Identity:
    try:
        chain_pem, key_pem = certificate.read_bytes(), key.read_bytes()
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
        private = serialization.load_pem_private_key(key_pem, None)
        if os.name == "posix" and key.stat().st_mode & 0o077:
            raise UserError(f"Others on this machine can read the signing key {key}; run: chmod 600 {key}")
    except UserError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"Cannot sign with {certificate} and {key} ({error}); they must be a PEM chain, leaf first, and its "
            "unencrypted PEM key."
        ) from error
    if leaf.public_key() != private.public_key():
        raise UserError(
            f"{key} is not the key of the first certificate in {certificate}; the chain has the leaf first."
        )
    until = leaf.not_valid_after_utc
    if until < datetime.datetime.now(datetime.UTC):
        remedy = f"move {key.parent} away and a new one is made" if self_issued else "get a new one from its issuer"
        raise UserError(f"The certificate {certificate} was valid until {until:%Y-%m-%d}; {remedy}.")
    pkcs8 = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(chain_pem, pkcs8, _algorithm(private, key), self_issued)


def _algorithm(private: object, key: Path) -> str:
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    raise UserError(
        f"C2PA cannot sign with the key {key}; use ECDSA (P-256, P-384, P-521), Ed25519 or RSA of 2048 bit."
    )


def _name(organisation: str, what: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, what))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**dict.fromkeys(names, False) | given)


def _write(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
