"""Who may see the console: a token, and a cookie that proves that it was shown.

The cookie holds when it ends and a signature of that under the token. Nothing is kept:
a console that starts again with the same token knows it.
"""

import hashlib
import hmac
from typing import Final

from backhaul.settings import Secret

__all__ = ["LOGIN_S", "Login"]

LOGIN_S: Final = 12 * 3600
"""How long a login holds (s)."""
_PURPOSE: Final = b"warmline console login "


class Login:
    """Checks tokens and cookies."""

    def __init__(self, token: Secret) -> None:
        self._token = token.reveal().encode()

    def admits(self, token: str) -> bool:
        """Tell whether *token* is the right one."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def cookie(self, *, now: float) -> str:
        """Return a cookie for who has shown the token at *now* (unix s)."""
        ends_at = f"{now + LOGIN_S:.0f}"
        return f"{ends_at}.{self._signature(ends_at)}"

    def knows(self, cookie: str, *, now: float) -> bool:
        """Tell whether *cookie* is one of ours and still holds at *now* (unix s)."""
        ends_at, _, signature = cookie.partition(".")
        ours = self._signature(ends_at).encode()
        if not hmac.compare_digest(signature.encode(errors="replace"), ours):
            return False
        return now < float(ends_at)  # a number, for we have signed it

    def _signature(self, ends_at: str) -> str:
        message = _PURPOSE + ends_at.encode(errors="replace")
        return hmac.new(self._token, message, hashlib.sha256).hexdigest()
