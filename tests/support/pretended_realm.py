# SPDX-License-Identifier: Apache-2.0
"""`python pretended_realm.py PORT`: answers as a Keycloak realm does, with two users; run by MONAI Label's Python.

Beyond a realm's own calls, `POST /made` returns a token with any claims, and `POST /rotated` changes the signing key.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.utils import base64url_encode

REALM = "/realms/monailabel"
ROLES = {"ann": ["monailabel-user", "monailabel-annotator"], "chief": ["monailabel-user", "monailabel-admin"]}

KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048)]


class Realm(BaseHTTPRequestHandler):
    """The calls that the label server makes."""

    asked_for_keys = 0

    def do_GET(self) -> None:
        if self.path == f"{REALM}/.well-known/openid-configuration":
            paths = {"issuer": "", "token_endpoint": "/token", "jwks_uri": "/certs"}
            self.answer(200, {name: self.url + path for name, path in paths.items()})
        elif self.path == f"{REALM}/certs":
            Realm.asked_for_keys += 1
            public = jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[-1].public_key(), as_dict=True)
            self.answer(200, {"keys": [public | {"kid": str(len(KEYS)), "use": "sig", "alg": "RS256"}]})
        else:
            self.answer(200, {"asked_for_keys": self.asked_for_keys})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/made":
            self.answer(200, {"access_token": self.token(**json.loads(body))})
        elif self.path == "/rotated":
            KEYS.append(rsa.generate_private_key(public_exponent=65537, key_size=2048))
            self.answer(200, {})
        else:
            self.sign_in(parse_qs(body))

    def sign_in(self, form: dict[str, list[str]]) -> None:
        user = form["username"][0]
        if user not in ROLES or form["password"] != [f"{user}'s secret"]:
            self.answer(401, {"error": "invalid_grant"})
            return
        claims = {"preferred_username": user, "realm_access": {"roles": ROLES[user]}, "azp": form["client_id"][0]}
        self.answer(200, {"access_token": self.token(claims), "token_type": "Bearer"})

    def token(self, claims: dict, header: dict | None = None, without: list[str] = ()) -> str:
        """Return a token with Keycloak's claims; `claims` change them, and `without` leaves some out."""
        now = int(time.time())
        usual = {
            "exp": now + 600,
            "iat": now,
            "iss": self.url,
            "aud": "account",
            "azp": "monailabel-app",
            "typ": "Bearer",
            "preferred_username": "ann",
            "realm_access": {"roles": ROLES["ann"]},
        }
        content = {name: value for name, value in {**usual, **claims}.items() if name not in without}
        headers = {"alg": "RS256", "kid": str(len(KEYS))} | (header or {})
        # PyJWT itself refuses to encode some of the odd headers and claims that are tested.
        parts = [base64url_encode(json.dumps(part).encode()) for part in (headers, content)]
        signature = KEYS[-1].sign(b".".join(parts), PKCS1v15(), SHA256())
        return b".".join((*parts, base64url_encode(signature))).decode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{REALM}"

    def answer(self, status: int, content: dict) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Realm).serve_forever()
