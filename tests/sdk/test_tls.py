"""Every SDK over https, against a second node whose certificate an authority of the test's own has signed."""

import dataclasses

import pytest

from test_secrets import CHINESE
from tls import Authority


@pytest.fixture(scope="module")
def stranger(start, tmp_path_factory):
    """A node that clients take for one of another authority. Its own: some SDKs share connections that are open already."""
    return dataclasses.replace(start(), ca=str(Authority(tmp_path_factory.mktemp("other")).file))


def test_create_and_read(secure, witness, name, sdk_class):
    sdk = sdk_class(secure)
    sdk.call("CreateSecret", SecretName=name, VersionId="v1", SecretData=CHINESE)
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE
    assert witness.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE, "the same deployment"


def test_a_server_of_another_authority_gets_no_request(stranger, sdk_class):
    with pytest.raises(Exception, match=sdk_class.untrusted):  # each SDK has an exception of its own
        sdk_class(stranger).call("ListSecrets")
