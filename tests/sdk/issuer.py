"""An issuer of JWTs: keys, tokens, and its JWK Set behind https."""

import base64
import contextlib
import http.server
import json
import ssl
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs with ES256; `rotate` makes another key, and keeps the old one in the set unless told otherwise."""

    def __init__(self, name):
        self.name, self.keys = name, []
        self.rotate()

    def rotate(self, keep=True):
        kept = self.keys if keep else []
        self.keys = [*kept, (f"key-{time.monotonic_ns()}", ec.generate_private_key(ec.SECP256R1()))]

    def set(self):
        def jwk(kid, key):
            numbers = key.public_key().public_numbers()
            x, y = (encoded(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
            return {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y}

        return {"keys": [jwk(*pair) for pair in self.keys]}

    def pem(self):
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return b"".join(key.public_key().public_bytes(encoding, form) for _, key in self.keys).decode()

    def token(self, header=None, **claims):
        """A token of the newest key, valid for ten minutes; a claim that is None is left out."""
        kid, key = self.keys[-1]
        now = int(time.time())
        said = {"iss": self.name, "aud": "bulla", "exp": now + 600, "iat": now - 1, **claims}
        said = {name: value for name, value in said.items() if value is not None}
        message = f"{encoded(json.dumps({'alg': 'ES256', 'kid': kid, **(header or {})}).encode())}.{encoded(json.dumps(said).encode())}"
        r, s = decode_dss_signature(key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{message}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    @contextlib.contextmanager
    def served(self, certificate, key):
        """Its JWK Set behind https; gives the URL."""
        issuer = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(issuer.set()).encode()
                self.send_response(200 if self.path == "/keys" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/keys"
        finally:
            server.shutdown()
