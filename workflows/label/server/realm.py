# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""A Keycloak realm: where it signs users in, and which tokens are its own."""

from __future__ import annotations

import threading
import time
from typing import Any

import jwt
import requests

# Seconds until the realm is asked again: after it did not answer, and after a token with an unknown key.
_PAUSE = 30.0
# Seconds after which a key that the realm withdrew is not accepted any more.
_KEYS_AGE = 3600.0
# Seconds by which two clocks may differ.
_LEEWAY = 10


class RealmError(Exception):
    """The realm does not answer, or not as a realm does."""


class Realm:
    """The realm that signs users in, by OpenID Connect Discovery 1.0.

    Args:
        uri: of the realm, such as https://keycloak.example/realms/monailabel.
        client_id: of this server in the realm; tokens that other clients got are not accepted.
        timeout: seconds to wait for an answer.
        pause: seconds until the realm is asked again.
    """

    def __init__(self, uri: str, client_id: str, timeout: float, pause: float = _PAUSE) -> None:
        self._uri, self._client_id = uri.rstrip("/"), client_id
        self._timeout, self._pause = timeout, pause
        self._lock = threading.Lock()
        self._found: dict[str, str] | None = None
        self._keys: _Keys | None = None
        self._failed_at = -float("inf")

    def sign_in(self, username: str, password: str) -> tuple[int, dict[str, Any]]:
        """Ask for a token, and return the status and the content of the realm's answer.

        Raises:
            RealmError: the realm does not answer.
        """
        form = {"client_id": self._client_id, "username": username, "password": password, "grant_type": "password"}
        try:
            answer = requests.post(
                self._discovered()["token_endpoint"], data=form, timeout=self._timeout, allow_redirects=False
            )
            content = answer.json() if answer.ok else {}
        except (requests.RequestException, ValueError) as error:
            raise RealmError(str(error)) from error
        if not isinstance(content, dict):
            raise RealmError("the answer is not a token")
        return answer.status_code, content

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of an access token that this realm made for this client.

        Raises:
            jwt.PyJWTError: the token is another one, or has expired.
            RealmError: the realm does not answer.
        """
        key_id = jwt.get_unverified_header(token).get("kid")
        if not isinstance(key_id, str):
            raise jwt.InvalidTokenError("no key")
        issuer, keys = self._discovered()["issuer"], self._keys_of_realm()
        try:
            key = keys.get_signing_key(key_id)
        except (jwt.PyJWKClientConnectionError, ValueError) as error:
            raise RealmError(str(error)) from error
        # Keycloak signs with RS256. Its access tokens name the client that asked in `azp`; `aud` has further ones.
        options = {"require": ["exp", "iss"], "verify_aud": False}
        claims: dict[str, Any] = jwt.decode(
            token, key.key, algorithms=["RS256"], issuer=issuer, options=options, leeway=_LEEWAY
        )
        audience = claims.get("aud")
        audience = audience if isinstance(audience, list) else [audience]
        if self._client_id not in (claims.get("azp"), *audience):
            raise jwt.InvalidAudienceError("made for another client")
        # ID tokens and refresh tokens have the same signature.
        if claims.get("typ") != "Bearer":
            raise jwt.InvalidTokenError("not an access token")
        return claims

    def _discovered(self) -> dict[str, str]:
        with self._lock:
            if self._found is None:
                if time.monotonic() - self._failed_at < self._pause:
                    raise RealmError("the realm did not answer a moment ago")
                try:
                    self._found = self._discover()
                except RealmError:
                    self._failed_at = time.monotonic()
                    raise
            return self._found

    def _discover(self) -> dict[str, str]:
        url = f"{self._uri}/.well-known/openid-configuration"
        try:
            answer = requests.get(url, timeout=self._timeout, allow_redirects=False)
            answer.raise_for_status()
            content = answer.json()
            return {name: str(content[name]) for name in ("issuer", "jwks_uri", "token_endpoint")}
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise RealmError(str(error)) from error

    def _keys_of_realm(self) -> _Keys:
        uri = self._discovered()["jwks_uri"]
        with self._lock:
            if self._keys is None:
                self._keys = _Keys(uri, self._timeout, self._pause)
            return self._keys


class _Keys(jwt.PyJWKClient):
    """The keys of a realm, fetched again for an unknown key; a realm that did not answer is left alone for a while."""

    def __init__(self, uri: str, timeout: float, pause: float) -> None:
        super().__init__(uri, timeout=timeout, lifespan=_KEYS_AGE, cooldown_duration=pause)
        self._failed_at = -float("inf")

    def fetch_data(self) -> Any:
        if time.monotonic() - self._failed_at < self.cooldown_duration:
            raise jwt.PyJWKClientConnectionError("the realm did not answer a moment ago")
        try:
            return super().fetch_data()
        except (jwt.PyJWTError, ValueError):
            self._failed_at = time.monotonic()
            raise
