"""The access key of this start: with it, other users of the machine may call the sandbox too."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cache

# Letters and digits alone, so that no shell needs quotes.
KEY_ID_BYTES, SECRET_BYTES = 8, 20


@dataclass(frozen=True)
class OwnKeys:
    key_id: str
    secret: str

    def is_secret(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.secret.encode())

    def seal(self, path: str) -> str:
        """A query for this path that only who has the secret can write: what has it was given out by the sandbox."""
        return f"seal={hmac.new(self.secret.encode(), path.encode(), hashlib.sha256).hexdigest()}"

    def is_sealed(self, path: str, query: str) -> bool:
        return hmac.compare_digest(query.encode("utf-8", "surrogateescape"), self.seal(path).encode())


@cache
def own_keys() -> OwnKeys:
    """Random, and made when they are first asked for: a process that forks for each sandbox must not ask before."""
    return OwnKeys(f"SBOX{secrets.token_hex(KEY_ID_BYTES).upper()}", secrets.token_hex(SECRET_BYTES))
