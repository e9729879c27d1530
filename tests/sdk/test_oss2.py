"""Client-side encryption of oss2 with its AliKMSProvider: data key and IV under a key of this service, the data beside them."""

import oss2
import pytest
from aliyunsdkcore.http import protocol_type
from aliyunsdkcore.profile import region_provider


class Plain:
    """The provider's own client, told to speak plain HTTP, for which the provider has no switch."""

    def __init__(self, client):
        self.client = client

    def do_action_with_exception(self, request):
        request.set_protocol_type(protocol_type.HTTP)
        return self.client.do_action_with_exception(request)


@pytest.fixture
def provider(target):
    def make(key, passphrase=None):
        region_provider.add_endpoint("Kms", target.region, target.endpoint)
        made = oss2.AliKMSProvider(target.access_key_id, target.access_key_secret, target.region, key, passphrase=passphrase)
        made.kms_client = Plain(made.kms_client)
        return made

    return make


@pytest.mark.parametrize("passphrase", [None, "pass phrase 密"])
def test_client_side_encryption(witness, provider, passphrase):
    key = witness.call("CreateKey")["KeyMetadata"]["KeyId"]
    data = "机密 data ".encode() * 1000
    material = provider(key, passphrase).create_content_material()
    sealed = material.cipher.encrypt(data)
    assert sealed != data

    reader = provider(key, passphrase)
    plain_key = reader.decrypt_encrypted_key(material.encrypted_key)
    plain_iv = reader.decrypt_encrypted_iv(material.encrypted_iv)
    assert len(plain_key) == 32
    cipher = oss2.utils.AESCTRCipher()
    cipher.initialize(plain_key, plain_iv)
    assert cipher.decrypt(sealed) == data

    with pytest.raises(oss2.exceptions.OpenApiServerError) as caught:
        provider(key, "another").decrypt_encrypted_key(material.encrypted_key)
    assert (caught.value.status, caught.value.code) == (400, "InvalidParameter")
