"""Versions, labels, metadata and tags of secrets through every SDK."""

import json

import pytest

from clients import Core, CoreBody, Tea, models
from test_secrets import CHINESE, create, listed, refusal


def versions(sdk, name):
    """Labels by version, oldest first."""
    answer = sdk.call("ListSecretVersionIds", SecretName=name, IncludeDeprecated="true", PageNumber=1, PageSize=100)
    found = answer["VersionIds"]["VersionId"]
    assert answer["TotalCount"] == len(found)
    return {version["VersionId"]: version["VersionStages"]["VersionStage"] for version in found}


def put(sdk, name, version, value, **more):
    return sdk.call("PutSecretValue", SecretName=name, VersionId=version, SecretData=value, **more)


def test_versions(sdk, witness, name):
    create(sdk, name, "one")
    answer = put(sdk, name, "v2", CHINESE)
    assert (answer["SecretName"], answer["VersionId"]) == (name, "v2")
    assert answer["VersionStages"] == {"VersionStage": ["ACSCurrent"]}
    assert put(sdk, name, "v2", CHINESE)["VersionStages"] == {"VersionStage": ["ACSCurrent"]}
    assert witness.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE
    assert sdk.call("GetSecretValue", SecretName=name, VersionStage="ACSPrevious")["SecretData"] == "one"
    taken = refusal(sdk, "PutSecretValue", SecretName=name, VersionId="v2", SecretData="other")
    assert taken == (409, "Rejected.ResourceExist")

    put(sdk, name, "v3", "AAEC", SecretDataType="binary", VersionStages='["blue"]')
    put(sdk, name, "v4", "four", VersionStages='{"VersionStage":["green"]}')
    assert versions(sdk, name) == {"v1": ["ACSPrevious"], "v2": ["ACSCurrent"], "v3": ["blue"], "v4": ["green"]}
    assert sdk.call("GetSecretValue", SecretName=name, VersionStage="blue")["SecretDataType"] == "binary"

    move = {"SecretName": name, "VersionStage": "ACSCurrent"}
    assert sdk.call("UpdateSecretVersionStage", **move, MoveToVersion="v4")["SecretName"] == name
    sdk.call("UpdateSecretVersionStage", **move, MoveToVersion="v3", RemoveFromVersion="v4")
    sdk.call("UpdateSecretVersionStage", SecretName=name, VersionStage="blue", RemoveFromVersion="v3")
    assert versions(sdk, name) == {"v1": [], "v2": [], "v3": ["ACSCurrent"], "v4": ["ACSPrevious", "green"]}
    assert refusal(sdk, "UpdateSecretVersionStage", **move, RemoveFromVersion="v3") == (400, "InvalidParameter")
    shown = sdk.call("ListSecretVersionIds", SecretName=name)
    assert [v["VersionId"] for v in shown["VersionIds"]["VersionId"]] == ["v3", "v4"]


def test_metadata(sdk, name):
    create(sdk, name, "x", Description="before")
    sdk.call("UpdateSecret", SecretName=name, Description="数据库 *~ after")
    assert sdk.call("DescribeSecret", SecretName=name)["Description"] == "数据库 *~ after"
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == "x"


def test_custom_data(target, name):
    """One form of the old SDK, another of the new one; without effect on Generic secrets, which have none."""
    core, tea = Core(target), Tea(target)
    create(tea, name)
    core.call("UpdateSecret", SecretName=name, ExtendedConfigCustomData='{"a":"b"}')
    config = models.UpdateSecretRequestExtendedConfig(custom_data={"a": "b"})
    tea.call("UpdateSecret", SecretName=name, ExtendedConfig=config, Description="new")
    shown = tea.call("DescribeSecret", SecretName=name)
    assert (shown["Description"], shown.get("ExtendedConfig")) == ("new", None)


def test_filters(sdk, name):
    tags = [{"TagKey": "team", "TagValue": name[4:40]}]
    create(sdk, name, "x", Description=f"of {name}", Tags=json.dumps(tags))
    create(sdk, name + ".2", "x")
    for key, value in [("SecretName", name), ("Description", f"of {name}"), ("TagValue", name[4:40])]:
        answer = sdk.call("ListSecrets", Filters=json.dumps([{"Key": key, "Values": [value]}]), FetchTags="true")
        assert [s["SecretName"] for s in answer["SecretList"]["Secret"]] == [name], key
        assert answer["SecretList"]["Secret"][0]["Tags"] == {"Tag": tags}
    none = sdk.call("ListSecrets", Filters=json.dumps([{"Key": "SecretName", "Values": [name + ".3"]}]))
    assert (none["TotalCount"], none["SecretList"]) == (0, {"Secret": []})


def test_tags(sdk, name):
    create(sdk, name)

    def tags():
        return sdk.call("DescribeSecret", SecretName=name, FetchTags="true")["Tags"]["Tag"]

    assert tags() == []
    tag = [{"TagKey": "a/b", "TagValue": "1 2"}, {"TagKey": "c", "TagValue": ""}]
    sdk.call("TagResource", SecretName=name, Tags=json.dumps(tag))
    assert tags() == tag
    [entry] = listed(sdk, name, FetchTags="true")
    assert entry["Tags"]["Tag"] == tag
    sdk.call("UntagResource", SecretName=name, TagKeys='["c"]')
    assert tags() == tag[:1]


def test_tags_of_many(sdk, target, name):
    create(sdk, name)
    create(sdk, name + ".2")
    if isinstance(sdk, CoreBody):
        pytest.skip("CommonRequest numbers no lists")
    names = [name, name + ".2"]
    if isinstance(sdk, Core):  # its setters are in the plural, and the region is the client's
        where, tag, key = {"ResourceType": "secret", "ResourceIds": names}, {"Tags": [{"Key": "team", "Value": "x"}]}, "TagKeys"
    else:
        where = {"RegionId": target.region, "ResourceType": "secret", "ResourceId": names}
        tag, key = {"Tag": [models.TagResourcesRequestTag(key="team", value="x")]}, "TagKey"
    sdk.call("TagResources", **where, **tag)
    answer = sdk.call("ListTagResources", **where)
    found = {(t["ResourceId"], t["TagKey"], t["TagValue"]) for t in answer["TagResources"]["TagResource"]}
    assert found == {(name, "team", "x"), (name + ".2", "team", "x")}
    sdk.call("UntagResources", **where, **{key: ["team"]})
    assert sdk.call("ListTagResources", **where)["TagResources"]["TagResource"] == []


def test_batch(target, name):
    """Newer than the old SDK."""
    tea = Tea(target)
    create(tea, name, CHINESE)
    entry = models.BatchGetSecretValueRequestSecretsList
    wanted = [entry(secret_name=name, fetch_extended_config="true"), entry(secret_name=name + ".2")]
    answer = tea.call("BatchGetSecretValue", SecretsList=wanted)
    assert [(v["SecretName"], v["SecretData"]) for v in answer["SecretValues"]] == [(name, CHINESE)]
    [error] = answer["Errors"]
    assert (error["SecretName"], error["Code"], int(error["HttpStatus"])) == (name + ".2", "Forbidden.ResourceNotFound", 404)
