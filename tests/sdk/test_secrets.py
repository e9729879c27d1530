"""The life of a secret through every SDK, values compared byte for byte."""

import base64
import json

import pytest

from clients import Core, Refused, Tea

CHINESE = '{"用户": "根", "密码": "三体·黑暗森林 𠮷 a b+c*d~e/f=g&h%25"}'
BINARY = base64.b64encode(bytes(range(256)) * 3).decode()
TAGS = [{"TagKey": "env/stage", "TagValue": "prod: a+b=c.d@e-f_g 1"}, {"TagKey": "owner", "TagValue": ""}]


def create(sdk, name, value="x", **more):
    return sdk.call("CreateSecret", SecretName=name, VersionId="v1", SecretData=value, **more)


def refusal(sdk, action, **parameters):
    with pytest.raises(Refused) as caught:
        sdk.call(action, **parameters)
    assert caught.value.request_id, "an error without RequestId"
    return caught.value.status, caught.value.code


def listed(sdk, name, **more):
    """All entries of ListSecrets with this name, found by turning the pages."""
    found, page = [], 1
    while True:
        answer = sdk.call("ListSecrets", PageNumber=page, PageSize=100, **more)
        assert (answer["PageNumber"], answer["PageSize"]) == (page, 100)
        found += [s for s in answer["SecretList"]["Secret"] if s["SecretName"] == name]
        if page * 100 >= answer["TotalCount"]:
            return found
        page += 1


def test_text(sdk, witness, target, name):
    made = create(sdk, name, CHINESE, Description="数据库 password * ~")
    assert (made["SecretName"], made["VersionId"]) == (name, "v1")
    assert made["Arn"] == f"acs:kms:{target.region}:{target.account}:secret/{name}"

    for reader in (sdk, witness):
        read = reader.call("GetSecretValue", SecretName=name)
        assert read["SecretData"] == CHINESE
        assert (read["SecretName"], read["VersionId"], read["SecretDataType"]) == (name, "v1", "text")
        assert read["VersionStages"] == {"VersionStage": ["ACSCurrent"]}
        assert read["RequestId"]

    described = sdk.call("DescribeSecret", SecretName=name)
    assert described["Description"] == "数据库 password * ~"
    assert described["Arn"] == made["Arn"]
    assert described.get("PlannedDeleteTime") is None

    [entry] = listed(sdk, name)
    assert entry["CreateTime"] == described["CreateTime"]


def test_binary(sdk, name):
    create(sdk, name, BINARY, SecretDataType="binary")
    read = sdk.call("GetSecretValue", SecretName=name)
    assert (read["SecretDataType"], read["SecretData"]) == ("binary", BINARY)
    assert base64.b64decode(read["SecretData"]) == bytes(range(256)) * 3


@pytest.mark.parametrize("value", [" ", "\x00", "a\r\nb", "+", "%", "%2B", "&=;?#", "null", '"', "\\", "\u00e9", "e\u0301", "𝄞" * 100])
def test_awkward_values(sdk, name, value):
    create(sdk, name, value)
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == value


def test_tags(sdk, name):
    create(sdk, name, Tags=json.dumps(TAGS))
    by_key = lambda tags: sorted(({k: t[k] for k in ("TagKey", "TagValue")} for t in tags), key=lambda t: t["TagKey"])
    described = sdk.call("DescribeSecret", SecretName=name, FetchTags="true")
    assert by_key(described["Tags"]["Tag"]) == by_key(TAGS)
    assert not sdk.call("DescribeSecret", SecretName=name).get("Tags")
    [entry] = listed(sdk, name, FetchTags="true")
    assert by_key(entry["Tags"]["Tag"]) == by_key(TAGS)


def test_selecting_a_version(sdk, name):
    create(sdk, name, "first")
    ways = [{"VersionStage": "ACSCurrent"}, {"VersionId": "v1"}, {"VersionId": "v1", "VersionStage": "ACSCurrent"}]
    for way in ways:
        assert sdk.call("GetSecretValue", SecretName=name, **way)["SecretData"] == "first"
    for way in [{"VersionStage": "ACSPrevious"}, {"VersionId": "v2"}, {"VersionId": "v1", "VersionStage": "ACSPrevious"}]:
        assert refusal(sdk, "GetSecretValue", SecretName=name, **way) == (404, "Forbidden.ResourceNotFound")


def test_as_the_cache_clients_ask(sdk, name):
    create(sdk, name, "v")
    read = sdk.call("GetSecretValue", SecretName=name, VersionStage="ACSCurrent", FetchExtendedConfig=True)
    assert read["SecretData"] == "v"


def test_by_arn(sdk, name):
    arn = create(sdk, name, "v")["Arn"]
    assert sdk.call("GetSecretValue", SecretName=arn)["SecretData"] == "v"


def test_delete_and_restore(sdk, name):
    create(sdk, name, CHINESE)
    deleted = sdk.call("DeleteSecret", SecretName=name, RecoveryWindowInDays="7")
    assert deleted["SecretName"] == name
    assert deleted["PlannedDeleteTime"]

    in_window = (409, "Rejected.ResourceInDeleteWindow")
    assert refusal(sdk, "GetSecretValue", SecretName=name) == in_window
    assert refusal(sdk, "DeleteSecret", SecretName=name) == in_window
    assert refusal(sdk, "CreateSecret", SecretName=name, VersionId="v9", SecretData="y") == in_window
    assert sdk.call("DescribeSecret", SecretName=name)["PlannedDeleteTime"]
    [entry] = listed(sdk, name)
    assert entry["PlannedDeleteTime"]

    assert sdk.call("RestoreSecret", SecretName=name)["SecretName"] == name
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE
    assert sdk.call("DescribeSecret", SecretName=name).get("PlannedDeleteTime") is None
    assert refusal(sdk, "RestoreSecret", SecretName=name) == (409, "Rejected.ResourceInUse")


def test_force_delete(sdk, name):
    create(sdk, name, "old")
    sdk.call("DeleteSecret", SecretName=name, ForceDeleteWithoutRecovery="true")
    gone = (404, "Forbidden.ResourceNotFound")
    for action in ("GetSecretValue", "DescribeSecret", "RestoreSecret", "DeleteSecret"):
        assert refusal(sdk, action, SecretName=name) == gone, action
    assert listed(sdk, name) == []

    create(sdk, name, "new")
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == "new"


def test_name_is_taken_once(sdk, name):
    create(sdk, name, "first")
    taken = (409, "Rejected.ResourceExist")
    assert refusal(sdk, "CreateSecret", SecretName=name, VersionId="v1", SecretData="first") == taken
    assert refusal(sdk, "CreateSecret", SecretName=name, VersionId="v2", SecretData="second") == taken
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == "first"


def test_unknown_secret(sdk, name):
    assert refusal(sdk, "GetSecretValue", SecretName=name) == (404, "Forbidden.ResourceNotFound")


# --- sizes -----------------------------------------------------------------------------------------------------------------


def test_largest_value_in_the_body(target, name):
    """SecretData may have 30,720 bytes; each of these takes three in the form body."""
    tea = Tea(target)
    value = "密" * 10_240
    create(tea, name, value)
    assert tea.call("GetSecretValue", SecretName=name)["SecretData"] == value
    assert refusal(tea, "CreateSecret", SecretName=name + "2", VersionId="v1", SecretData=value + "x") == (400, "InvalidParameter")


def test_largest_value_in_the_url(target, name):
    """The old SDK puts the value in the request line; this one makes a line of almost 65,000 bytes."""
    core = Core(target)
    escaped, line = 16_700, 64_300
    value = "%" * escaped + "a" * (30_720 - escaped)
    assert line < 3 * escaped + (30_720 - escaped) + 400 < 65_000
    create(core, name, value)
    assert core.call("GetSecretValue", SecretName=name)["SecretData"] == value
