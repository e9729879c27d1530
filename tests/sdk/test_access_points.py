"""Client keys: the PKCS #12 file read by an independent implementation, requests signed by the SDK's own code."""

import base64
import datetime
import json
import time
import uuid

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.algorithm import sha_hmac256
from aliyunsdkcore.auth.signers.signer import Signer
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type
from aliyunsdkcore.profile import region_provider
from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from clients import Refused
from conftest import chosen
from test_secrets import CHINESE, create, refusal

PASSWORD = "correct horse 数"
READ = json.dumps(["RbacPermission/Template/CryptoServiceSecretUser"])


# The old SDK has no typed requests for these operations.
@pytest.fixture(params=["tea", "tea-async", "tea-rpc", "java", "go"])
def sdk_class(request):
    return chosen(request.param)


class ClientKeySigner(Signer):
    """What the caching client makes of a client key: the SDK's RSA signature under the key's id."""

    def __init__(self, key_id, private_key):
        self.key_id, self.private_key = key_id, private_key

    def sign(self, region_id, request):
        header = request.get_signed_header(region_id, self.key_id, self.private_key)
        return header, request.get_url(region_id, self.key_id, self.private_key)


class Application:
    """An application that holds a client key."""

    def __init__(self, target, made):
        file = base64.b64decode(made["PrivateKeyData"])
        key, certificate, others = pkcs12.load_key_and_certificates(file, PASSWORD.encode())
        assert key.key_size == 2048 and others == []
        assert certificate.public_key().public_numbers() == key.public_key().public_numbers()
        self.public = key.public_key()
        form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private = base64.b64encode(key.private_bytes(*form)).decode()
        self.signer = ClientKeySigner(made["ClientKeyId"], private)
        self.client = AcsClient("unused", "unused", target.region, auto_retry=False)
        region_provider.add_endpoint("Kms", target.region, target.endpoint)

    def read(self, name):
        request = GetSecretValueRequest()
        request.set_SecretName(name)
        request.set_accept_format("JSON")
        request.set_protocol_type(protocol_type.HTTP)
        request._signer = sha_hmac256
        status, _, body, error = self.client._implementation_of_do_action(request, self.signer)
        if isinstance(error, ServerException):
            raise Refused(error.get_error_code(), error.get_http_status(), error.get_request_id())
        assert error is None and status == 200, error
        return json.loads(body)["SecretData"]


@pytest.fixture
def point(sdk, name):
    """An access point that may read the secret `name` from here, and the names of its parts."""
    tag = uuid.uuid4().hex
    names = {"rule": f"r-{tag}", "policy": f"p-{tag}", "point": f"a-{tag}"}
    sdk.call("CreateNetworkRule", Name=names["rule"], Type="Private", SourcePrivateIp='["127.0.0.0/8","::1"]')
    rules = json.dumps({"NetworkRules": [names["rule"]]})
    resources = json.dumps([f"secret/{name}"])
    sdk.call("CreatePolicy", Name=names["policy"], Permissions=READ, Resources=resources, AccessControlRules=rules)
    sdk.call("CreateApplicationAccessPoint", Name=names["point"], Policies=json.dumps([names["policy"]]))
    return names


def until(what, code, ask):
    """Asks until the answer is a refusal with this code: a revocation works on every node within a second."""
    deadline = time.monotonic() + 60
    while True:
        try:
            seen = ask() and "success"
        except Refused as e:
            seen = e.code
        if seen == code:
            return
        assert time.monotonic() < deadline, f"{what}: {seen}"
        time.sleep(0.05)


def test_client_key_reads_its_secret(sdk, witness, target, point, name):
    create(witness, name, CHINESE)
    create(witness, name + "2", CHINESE)
    made = sdk.call("CreateClientKey", AapName=point["point"], Password=PASSWORD)
    assert made["KeyAlgorithm"] == "RSA_2048" and made["ClientKeyId"].startswith("KAAP.")
    application = Application(target, made)
    assert application.read(name) == CHINESE
    with pytest.raises(Refused) as refused:
        application.read(name + "2")
    assert (refused.value.status, refused.value.code) == (403, "Forbidden.NoPermission")

    shown = sdk.call("GetClientKey", ClientKeyId=made["ClientKeyId"])
    public = serialization.load_der_public_key(base64.b64decode(shown["PublicKeyData"]))
    assert public.public_numbers() == application.public.public_numbers()
    assert "PrivateKeyData" not in shown
    listed = sdk.call("ListClientKeys", AapName=point["point"])["ClientKeys"]
    assert [key["ClientKeyId"] for key in listed] == [made["ClientKeyId"]]

    sdk.call("UpdateNetworkRule", Name=point["rule"], SourcePrivateIp='["10.255.0.0/16"]')
    until("from another network", "Forbidden.NoPermission", lambda: application.read(name))
    sdk.call("DeleteClientKey", ClientKeyId=made["ClientKeyId"])
    until("deleted", "InvalidAccessKeyId.NotFound", lambda: application.read(name))


def test_validity(sdk, target, point, name):
    times = {"NotBefore": "2100-01-01T00:00:00Z", "NotAfter": "2101-01-01T00:00:00Z"}
    made = sdk.call("CreateClientKey", AapName=point["point"], Password=PASSWORD, **times)
    assert {name: made[name] for name in times} == times
    with pytest.raises(Refused) as refused:
        Application(target, made).read(name)
    assert (refused.value.status, refused.value.code) == (403, "Forbidden.AccessKey")
    _, certificate, _ = pkcs12.load_key_and_certificates(base64.b64decode(made["PrivateKeyData"]), PASSWORD.encode())
    assert certificate.not_valid_before_utc == datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)


def test_parts_are_described_listed_changed_and_deleted(sdk, point, name):
    policy = sdk.call("DescribePolicy", Name=point["policy"])
    assert policy["Resources"] == [f"secret/{name}"] and policy["Permissions"] == json.loads(READ)
    assert json.loads(policy["AccessControlRules"]) == {"NetworkRules": [point["rule"]]}
    assert json.loads(sdk.call("DescribeNetworkRule", Name=point["rule"])["SourcePrivateIp"]) == ["127.0.0.0/8", "::1"]
    described = sdk.call("DescribeApplicationAccessPoint", Name=point["point"])
    assert json.loads(described["Policies"]) == [point["policy"]]
    assert described["AuthenticationMethod"] == "ClientKey"

    for action, wrapper, item, mine in [
        ("ListPolicies", "Policies", "Policy", point["policy"]),
        ("ListNetworkRules", "NetworkRules", "NetworkRule", point["rule"]),
        ("ListApplicationAccessPoints", "ApplicationAccessPoints", "ApplicationAccessPoint", point["point"]),
    ]:
        found, page = set(), 1
        while True:
            answer = sdk.call(action, PageNumber=page, PageSize=100)
            found |= {entry["Name"] for entry in answer[wrapper][item]}
            if page * 100 >= answer["TotalCount"]:
                break
            page += 1
        assert mine in found, action

    used = (409, "Rejected.ResourceInUse")
    assert refusal(sdk, "DeleteNetworkRule", Name=point["rule"]) == used
    assert refusal(sdk, "DeletePolicy", Name=point["policy"]) == used
    sdk.call("UpdatePolicy", Name=point["policy"], Resources='["secret/*","key/*"]', Description="wider")
    assert sdk.call("DescribePolicy", Name=point["policy"])["Description"] == "wider"
    sdk.call("UpdateApplicationAccessPoint", Name=point["point"], Policies="[]")
    for action, part in [("DeletePolicy", "policy"), ("DeleteNetworkRule", "rule"), ("DeleteApplicationAccessPoint", "point")]:
        sdk.call(action, Name=point[part])
        assert refusal(sdk, action, Name=point[part]) == (404, "Forbidden.ResourceNotFound")
