"""Somebody who issues tokens: keys, the set of the public ones on a real HTTP server, and tokens signed with the others."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

NAME, AUDIENCE = "https://id.example.com", "flags"


class Issuer:
    """Issues tokens. `published` are the keys that its set shows; a test may take one out, or the whole server away."""

    def __init__(self, *kids: str) -> None:
        self._keys: dict[str, tuple[PrivateKeyTypes, str]] = {}
        self.published: list[dict[str, Any]] = []
        self.broken = False
        self.asked = 0
        for kid in kids:
            self.add(kid)
        self._server: ThreadingHTTPServer | None = None

    def add(self, kid: str, *, algorithm: str = "ES256") -> None:
        """A new key, published from now on."""
        key: Any
        if algorithm.startswith("ES"):
            key = ec.generate_private_key(ec.SECP256R1())
            public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._keys[kid] = (key, algorithm)
        self.published.append({**public, "kid": kid, "use": "sig"})

    def withdraw(self, kid: str) -> None:
        self.published = [key for key in self.published if key["kid"] != kid]

    def token(self, kid: str, *, lasts: float = 60.0, algorithm: str = "", **claims: Any) -> str:
        """A token that ends in `lasts` seconds."""
        key, own = self._keys[kid]
        body = {"iss": NAME, "aud": AUDIENCE, "exp": time.time() + lasts, **claims}
        wanted = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(wanted, key, algorithm=algorithm or own, headers={"kid": kid})  # type: ignore[arg-type]

    @property
    def jwks(self) -> bytes:
        return json.dumps({"keys": self.published}).encode()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    @contextmanager
    def online(self) -> Iterator["Issuer"]:
        """Publish the set over HTTP for a while."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(500 if issuer.broken else 200)
                self.end_headers()
                self.wfile.write(issuer.jwks)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(timeout=5)
