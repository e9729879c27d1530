"""The SDKs behind one face: `call("GetSecretValue", SecretName="a")` gives the answer's fields by their names on the wire.

Each adapter uses its SDK as an application would, with the SDK's own typed requests, and translates nothing but the spelling
of names. So one suite can say what must hold and every SDK has to agree.
"""

import asyncio
import dataclasses
import json
import re

from alibabacloud_kms20160120 import models
from alibabacloud_kms20160120.client import Client as TeaClient
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type
from aliyunsdkcore.profile import region_provider
from aliyunsdkcore.request import CommonRequest
from aliyunsdkkms.request import v20160120 as requests


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a Bulla listens, and an access key on it."""

    endpoint: str  # host:port
    region: str
    account: str
    access_key_id: str
    access_key_secret: str
    ca: str | None = None  # the file of who may sign its certificate; none is plain HTTP


class Refused(Exception):
    """An answer other than success, as the SDK raised it."""

    def __init__(self, code, status, request_id):
        super().__init__(f"{status} {code} (request {request_id})")
        self.code, self.status, self.request_id = code, status, request_id


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Core:
    """aliyun-python-sdk-kms: RPC signature, POST with everything in the URL."""

    # What this SDK makes of a SignatureDoesNotMatch whose text holds the very string that it signed.
    wrong_secret_code = "InvalidAccessKeySecret"

    def __init__(self, target):
        self.target = target
        key = (target.access_key_id, target.access_key_secret)
        self.client = AcsClient(*key, target.region, auto_retry=False, verify=target.ca)
        region_provider.add_endpoint("Kms", target.region, target.endpoint)

    def request(self, action, parameters):
        module = __import__(f"{requests.__name__}.{action}Request", fromlist=[action])
        request = getattr(module, f"{action}Request")()
        for name, value in parameters.items():
            getattr(request, f"set_{name}")(value)
        return request

    def call(self, action, **parameters):
        request = self.request(action, parameters)
        request.set_protocol_type(protocol_type.HTTPS if self.target.ca else protocol_type.HTTP)
        try:
            return json.loads(self.client.do_action_with_exception(request))
        except ServerException as e:
            raise Refused(e.get_error_code(), e.get_http_status(), e.get_request_id()) from e


class CoreBody(Core):
    """The same core with CommonRequest: the operation's parameters in a form body."""

    wrong_secret_code = "SignatureDoesNotMatch"  # a CommonRequest does not keep what it signed

    def request(self, action, parameters):
        request = CommonRequest(domain=self.target.endpoint, version="2016-01-20", action_name=action)
        request.set_method("POST")
        for name, value in parameters.items():
            request.add_body_params(name, value)
        return request


class Tea:
    """alibabacloud-kms20160120: ACS3 signature, SecretData in a form body."""

    wrong_secret_code = "SignatureDoesNotMatch"
    signature_algorithm = None

    def __init__(self, target):
        self.client = TeaClient(
            Config(
                access_key_id=target.access_key_id,
                access_key_secret=target.access_key_secret,
                endpoint=target.endpoint,
                protocol="HTTPS" if target.ca else "HTTP",
                ca=target.ca,
                region_id=target.region,
                signature_algorithm=self.signature_algorithm,
            )
        )

    def send(self, action, request):
        return getattr(self.client, snake(action))(request)

    def call(self, action, **parameters):
        request = getattr(models, f"{action}Request")(**{snake(name): value for name, value in parameters.items()})
        try:
            return self.send(action, request).body.to_map()
        except AlibabaCloudException as e:
            raise Refused(e.code, e.status_code, (e.data or {}).get("RequestId")) from e


class TeaAsync(Tea):
    """The same through its coroutines: another HTTP library, another spelling of the same query."""

    def send(self, action, request):
        return asyncio.run(getattr(self.client, f"{snake(action)}_async")(request))


class TeaRpc(Tea):
    """The same, switched to the RPC signature."""

    signature_algorithm = "v2"


SDKS = {"core": Core, "core-body": CoreBody, "tea": Tea, "tea-async": TeaAsync, "tea-rpc": TeaRpc}
