# SPDX-License-Identifier: Apache-2.0
"""`python pretended_realm.py PORT`: answers as a Keycloak realm does, with two users; run by MONAI Label's Python."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ROLES = {"ann": ["monailabel-user", "monailabel-annotator"], "chief": ["monailabel-user", "monailabel-admin"]}


class Realm(BaseHTTPRequestHandler):
    """The three calls that MONAI Label makes."""

    def do_GET(self) -> None:
        if self.path.endswith("/.well-known/openid-configuration"):
            self.answer(200, {"token_endpoint": f"http://127.0.0.1:{self.server.server_port}/token"})
        else:
            lines = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().split("\n")
            self.answer(200, {"public_key": "".join(line for line in lines if not line.startswith("-----"))})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        user = form["username"][0]
        if user not in ROLES or form["password"] != [f"{user}'s secret"]:
            self.answer(401, {"error": "invalid_grant"})
            return
        claims = {"preferred_username": user, "realm_access": {"roles": ROLES[user]}, "exp": time.time() + 600}
        self.answer(200, {"access_token": jwt.encode(claims, KEY, algorithm="RS256"), "token_type": "Bearer"})

    def answer(self, status: int, content: dict) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Realm).serve_forever()
