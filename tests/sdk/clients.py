"""The SDKs behind one face: `call("GetSecretValue", SecretName="a")` gives the answer's fields by their names on the wire.

Each adapter uses its SDK as an application would, with the SDK's own typed requests, and translates nothing but the spelling
of names. So one suite can say what must hold and every SDK has to agree. The SDKs of other languages are driven through a
program in that language (java/, go/), which makes the calls that it is told one a line.
"""

import asyncio
import atexit
import dataclasses
import json
import os
import re
import subprocess

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


class Failed(Exception):
    """A call that got no answer from the service, as the SDK of another language told it."""


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Sdk:
    """What the suite must know of an SDK beside how to call it."""

    typed = True  # whether maps and lists are given as such, not as their JSON
    lacks = frozenset()  # operations that are newer than the SDK
    wrong_secret_code = "SignatureDoesNotMatch"
    untrusted = "(?i)certificate.verify.failed"  # what it says of a certificate that nobody it knows has signed


class Core(Sdk):
    """aliyun-python-sdk-kms: RPC signature, POST with everything in the URL."""

    typed = False
    lacks = frozenset({"GenerateMac", "VerifyMac"})
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

    lacks = frozenset()
    wrong_secret_code = "SignatureDoesNotMatch"  # a CommonRequest does not keep what it signed

    def request(self, action, parameters):
        request = CommonRequest(domain=self.target.endpoint, version="2016-01-20", action_name=action)
        request.set_method("POST")
        for name, value in parameters.items():
            request.add_body_params(name, value)
        return request


class Tea(Sdk):
    """alibabacloud-kms20160120: ACS3 signature, SecretData in a form body."""

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


class Elsewhere(Sdk):
    """An SDK of another language: one process for all calls of this run, started at the first."""

    lacks = frozenset({"GenerateMac", "VerifyMac"})
    variable = None  # names the command
    process = None

    def __init__(self, target):
        self.target = dataclasses.asdict(target)

    @classmethod
    def command(cls):
        return json.loads(os.environ[cls.variable])

    @classmethod
    def ask(cls, line):
        if cls.process is None:
            cls.process = subprocess.Popen([*cls.command(), "sdk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            atexit.register(cls.process.kill)
        cls.process.stdin.write(line + "\n")
        cls.process.stdin.flush()
        return json.loads(cls.process.stdout.readline())

    def call(self, action, **parameters):
        wanted = {"target": self.target, "action": action, "parameters": parameters}
        answer = self.ask(json.dumps(wanted, default=lambda model: model.to_map()))
        if told := answer.get("refused"):
            raise Refused(told["code"], told["status"], told["request_id"])
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer["body"]


class Java(Elsewhere):
    """com.aliyun:kms20160120: ACS3 signature."""

    variable = "BULLA_JAVA"
    untrusted = "PKIX path building failed"


class Go(Elsewhere):
    """github.com/alibabacloud-go/kms-20160120: ACS3 signature, everything in the URL."""

    variable = "BULLA_GO"
    untrusted = "certificate signed by unknown authority"


SDKS = {
    "core": Core, "core-body": CoreBody, "tea": Tea, "tea-async": TeaAsync, "tea-rpc": TeaRpc, "java": Java, "go": Go,
}
