"""Who vouches for a trace: ed25519 signatures (RFC 8032) over all that it says.

Bytes certify themselves, but that this key gave that tree is a claim, and whoever is believed
decides what a team runs. A signature covers the key (which is a hash of every ingredient), the
tree, the label and what is told of the making: nothing that is shown of a trace can be changed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..core.digest import Plain, canonical
from ..core.step import Trace


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The secret half: 32 bytes, and the name that signatures have."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.name})"  # a traceback shows no secrets

    def public(self) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()


def signed(trace: Trace, key: SigningKey) -> Trace:
    """The trace with one more signature."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    raw = Ed25519PrivateKey.from_private_bytes(key.seed).sign(_statement(trace))
    made = base64.b64encode(raw).decode()
    return replace(trace, signatures={**trace.signatures, key.name: made})


def is_signed(trace: Trace, trusted: Mapping[str, bytes]) -> bool:
    """Whether one of these public keys, by name, vouches for the trace as it is."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    statement = _statement(trace)
    for name in trace.signatures.keys() & trusted.keys():
        try:
            raw = base64.b64decode(trace.signatures[name], validate=True)
            Ed25519PublicKey.from_public_bytes(trusted[name]).verify(raw, statement)
        except (InvalidSignature, binascii.Error, ValueError):
            continue
        return True
    return False


def _statement(trace: Trace) -> bytes:
    # The tag is there so that no other thing that is ever signed can be taken for a trace.
    said: dict[str, Plain] = {
        "key": trace.key,
        "tree": trace.tree.digest,
        "label": trace.label,
        "made": dict(trace.made),
    }
    return canonical(["cortexbuild trace.v1", said])
