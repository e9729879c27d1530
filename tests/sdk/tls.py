"""Bulla under TLS, with certificates that an authority of the suite's own has signed."""

import datetime
import ipaddress
import os
import pathlib
import re
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

READY_S = 60
NONE = serialization.NoEncryption()


class Authority:
    """A root, and certificates of 127.0.0.1 that it signs."""

    def __init__(self, folder):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {folder.name}")])
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        self.root = self.sign(self.name, self.key.public_key(), constraint)
        self.file = folder / "root.pem"
        self.file.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))

    def sign(self, subject, key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        identifier = x509.SubjectKeyIdentifier.from_public_key(key)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        for extension in (*extensions, identifier, issuer):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, folder):
        """Files of a server's certificate and its key."""
        return self.write(folder, "tls", "bulla", [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])

    def client(self, folder, name, dns=(), uris=()):
        """Files of a client's certificate and its key."""
        names = [*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris)]
        return self.write(folder, name, name, names or [x509.DNSName("nobody.example")])

    def write(self, folder, file, common_name, names):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        names = x509.SubjectAlternativeName(names)
        certificate, private = folder / f"{file}.crt", folder / f"{file}.key"
        certificate.write_bytes(self.sign(subject, key.public_key(), names).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, NONE))
        return certificate, private


class Node:
    """`bulla serve` under TLS beside the Bulla of the suite, on the same token and database; may be stopped and started again."""

    def __init__(self, folder, certificate, key, tls="", more=""):
        flag, _, data = os.environ.get("BULLA_ADMIN_ARGS", "").partition(" ")
        if "BULLA_PROGRAM" not in os.environ or flag != "--data":
            pytest.skip("BULLA_PROGRAM is not set, or BULLA_ADMIN_ARGS names no data folder")
        self.data, self.folder, self.files = pathlib.Path(data), folder, (certificate, key)
        self.listen, self.process = "127.0.0.1:0", None
        self.tls, self.more = tls, more  # lines of [server.tls], and sections

    def configure(self):
        """Writes the configuration; gives its file."""
        # Beside the first one's, since its paths are relative.
        config = self.data / f"{self.folder.name}.toml"
        first = (self.data / "bulla.toml").read_text()
        own = re.sub(r'(?m)^(directory = )".*"$', rf'\1"{self.folder / "audit"}"', first)
        assert own != first, first
        tls = 'certificate_file = "{}"\nkey_file = "{}"'.format(*self.files)
        config.write_text(f'{own}\n[server]\nlisten = "{self.listen}"\n\n[server.tls]\n{tls}\n{self.tls}\n{self.more}\n')
        return config

    def start(self):
        """Gives host:port, the same each time."""
        config, log = self.configure(), self.folder / "log"
        environment = {**os.environ, "SOFTHSM2_CONF": str(self.data / "softhsm2.conf")}
        command = ["setpriv", "--pdeathsig", "KILL", "--", os.environ["BULLA_PROGRAM"], "serve", "--config", config]
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out, env=environment
            )
        deadline = time.monotonic() + READY_S
        while not (listens := re.search(r"serving on (\S+)\n", log.read_text())):
            assert self.process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        self.listen = listens[1]
        return self.listen

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
