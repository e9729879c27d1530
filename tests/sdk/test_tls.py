"""Both of Alibaba's Python SDKs over https, against a second node whose certificate an authority of the test's own has signed."""

import contextlib
import dataclasses
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

from clients import SDKS
from test_secrets import CHINESE

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
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bulla")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate, private = folder / "tls.crt", folder / "tls.key"
        certificate.write_bytes(self.sign(subject, key.public_key(), names).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, NONE))
        return certificate, private


@contextlib.contextmanager
def node(data, folder, certificate, key):
    """`bulla serve` under TLS beside the Bulla of the suite, on the same token and database; gives host:port."""
    config, log = folder / "bulla.toml", folder / "log"
    first = (data / "bulla.toml").read_text()
    own = first.replace(f'directory = "{data / "audit"}"', f'directory = "{folder / "audit"}"')
    assert own != first, first
    tls = f'certificate_file = "{certificate}"\nkey_file = "{key}"'
    config.write_text(f'{own}\n[server]\nlisten = "127.0.0.1:0"\n\n[server.tls]\n{tls}\n')
    environment = {**os.environ, "SOFTHSM2_CONF": str(data / "softhsm2.conf")}
    command = [os.environ["BULLA_PROGRAM"], "serve", "--config", config]
    with open(log, "wb") as out:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out, env=environment)
    try:
        deadline = time.monotonic() + READY_S
        while not (listens := re.search(r"serving on (\S+)\n", log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield listens[1]
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def start(target, authority, tmp_path_factory):
    """Starts nodes under TLS; gives the target of the suite through each."""
    flag, _, data = os.environ.get("BULLA_ADMIN_ARGS", "").partition(" ")
    if "BULLA_PROGRAM" not in os.environ or flag != "--data":
        pytest.skip("BULLA_PROGRAM is not set, or BULLA_ADMIN_ARGS names no data folder")
    with contextlib.ExitStack() as nodes:

        def begin():
            folder = tmp_path_factory.mktemp("node")
            endpoint = nodes.enter_context(node(pathlib.Path(data), folder, *authority.issue(folder)))
            return dataclasses.replace(target, endpoint=endpoint, ca=str(authority.file))

        yield begin


@pytest.fixture(scope="module")
def secure(start):
    return start()


@pytest.fixture(scope="module")
def stranger(start, tmp_path_factory):
    """A node that clients take for one of another authority. Its own: some SDKs share connections that are open already."""
    return dataclasses.replace(start(), ca=str(Authority(tmp_path_factory.mktemp("other")).file))


@pytest.mark.parametrize("kind", SDKS)
def test_create_and_read(secure, witness, name, kind):
    sdk = SDKS[kind](secure)
    sdk.call("CreateSecret", SecretName=name, VersionId="v1", SecretData=CHINESE)
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE
    assert witness.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE, "the same deployment"


@pytest.mark.parametrize("kind", SDKS)
def test_a_server_of_another_authority_gets_no_request(stranger, kind):
    with pytest.raises(Exception, match="(?i)certificate.verify.failed"):  # each SDK has an exception of its own
        SDKS[kind](stranger).call("ListSecrets")
