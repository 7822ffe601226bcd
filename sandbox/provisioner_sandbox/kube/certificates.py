"""The keys of a cluster: its authority, what its API server shows, and what signs service accounts' tokens."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=3650)
# Clocks of two processes may differ a little.
EARLIER = timedelta(minutes=5)
NAMES = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
]


def common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(subject: str, issuer: str, key: Any, signer: Any, *extensions: tuple[Any, bool]) -> x509.Certificate:
    begin = datetime.now(timezone.utc) - EARLIER
    builder = (
        x509.CertificateBuilder()
        .subject_name(common(subject))
        .issuer_name(common(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + VALID)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())


class Authority:
    """A cluster's: made with the cluster, and told by DescribeCluster."""

    NAME = "kubernetes"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self.certificate = certificate(
            self.NAME, self.NAME, self.key, self.key, (x509.BasicConstraints(ca=True, path_length=None), True), (usage, True),
            (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False),
        )  # fmt: skip

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def data(self) -> str:
        """PEM, base64 around it, as EKS says it."""
        return base64.b64encode(self.pem).decode()

    def context(self) -> ssl.SSLContext:
        """For a server on loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name) for name in NAMES] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = certificate(
            "kube-apiserver", self.NAME, key, self.key,
            (x509.SubjectAlternativeName(names), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # Python reads keys from files only.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "server.pem"
            path.touch(0o600)
            path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
            context.load_cert_chain(path)
        return context


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Signer:
    """Of service accounts' tokens: JSON Web Tokens under RS256."""

    issuer: str
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def sign(self, claims: dict[str, Any]) -> str:
        parts = [{"alg": "RS256", "kid": "1", "typ": "JWT"}, {"iss": self.issuer, **claims}]
        text = ".".join(encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        return f"{text}.{encoded(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def account(self, namespace: str, name: str, uid: str, audiences: list[str], seconds: int) -> str:
        now = int(time.time())
        about = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
        subject = f"system:serviceaccount:{namespace}:{name}"
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "nbf": now,
            "sub": subject,
            "kubernetes.io": about,
        }
        return self.sign(claims)

    def claims(self, token: str) -> dict[str, Any] | None:
        """What a token of ours says that has not expired; `None` for any other."""
        try:
            text, _, signature = token.rpartition(".")
            self.key.public_key().verify(decoded(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
            found: dict[str, Any] = json.loads(decoded(text.partition(".")[2]))
        except (InvalidSignature, ValueError):
            return None
        return found if found["exp"] > time.time() else None
