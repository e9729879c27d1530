"""What a server of the Vault API answers, line by line: the same script asks an OpenBao development server and Bulla.

    python oracle.py URL TOKEN            prints the answers, times and ids masked
"""

import http.client
import json
import re
import sys
import urllib.parse

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
# What differs from server to server, or from run to run, and what a server may leave out.
MASKED = {
    "request_id", "accessor", "id", "uuid", "client_token", "entity_id", "creation_time", "issue_time", "expire_time", "ttl",
    "server_time_utc", "version_string", "lease_duration", "cluster_id", "cluster_name", "nonce",
}


def mask(value, key=None):
    if isinstance(value, dict):
        return {k: mask(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [mask(v) for v in value]
    if key in MASKED and value not in (None, "", []):
        return f"<{type(value).__name__}>"
    if isinstance(value, str) and TIME.match(value):
        return "<time>"
    if isinstance(value, str) and value.startswith("vault:v"):
        return value[:9] + "…"
    return value


class Server:
    def __init__(self, url, token):
        parsed = urllib.parse.urlparse(url)
        self.host, self.token = parsed.netloc, token

    def ask(self, method, path, body=None, headers=None, token=True, raw=None):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        sent = dict(headers or {})
        if token is True:
            sent.setdefault("X-Vault-Token", self.token)
        elif token:
            sent["X-Vault-Token"] = token
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), text


def lines(server):
    """Every question and its answer: (title, status, headers that matter, masked body)."""
    out = []

    def ask(title, method, path, *args, **kw):
        status, headers, text = server.ask(method, path, *args, **kw)
        try:
            body = mask(json.loads(text)) if text.strip() else None
        except ValueError:
            body = text.decode("utf-8", "replace")
        kept = {k: headers.get(k) for k in ("content-type", "cache-control") if k in headers}
        out.append((f"{title}: {method} {path}", status, kept, body))
        return body

    d, m = "/v1/secret/data", "/v1/secret/metadata"
    ask("health", "GET", "/v1/sys/health", token=False)
    ask("health head", "HEAD", "/v1/sys/health", token=False)
    ask("health codes", "GET", "/v1/sys/health?activecode=299", token=False)
    ask("health code that is none", "GET", "/v1/sys/health?activecode=x", token=False)
    ask("seal status", "GET", "/v1/sys/seal-status", token=False)
    ask("leader", "GET", "/v1/sys/leader", token=False)
    ask("mount of a path", "GET", "/v1/sys/internal/ui/mounts/secret/a/b")
    ask("mount", "GET", "/v1/sys/internal/ui/mounts/secret")
    ask("no mount", "GET", "/v1/sys/internal/ui/mounts/nope/x")
    ask("mounts", "GET", "/v1/sys/mounts")
    ask("self", "GET", "/v1/auth/token/lookup-self")
    ask("no token", "GET", f"{d}/o/a", token=False)
    ask("bad token", "GET", f"{d}/o/a", token="s.nope")
    ask("bearer", "GET", "/v1/auth/token/lookup-self", token=False, headers={"Authorization": f"Bearer {server.token}"})
    ask("renew root", "POST", "/v1/auth/token/renew-self", {})
    ask("absent", "GET", f"{d}/o/absent")
    ask("absent version", "GET", f"{d}/o/absent?version=3")
    ask("cas 5 on absent", "POST", f"{d}/o/a", {"data": {"k": "v"}, "options": {"cas": 5}})
    ask("cas 0", "POST", f"{d}/o/a", {"data": {"k": "v", "n": 1, "f": 1.50, "b": True, "z": None, "l": [1, {"x": "ü"}], "o": {}}, "options": {"cas": 0}})
    ask("cas 0 again", "PUT", f"{d}/o/a", {"data": {"k": "w"}, "options": {"cas": 0}})
    ask("cas as text", "PUT", f"{d}/o/a", {"data": {"k": "w"}, "options": {"cas": "1"}})
    ask("cas is no number", "PUT", f"{d}/o/a", {"data": {"k": "w"}, "options": {"cas": "x"}})
    ask("cas negative", "PUT", f"{d}/o/a", {"data": {"k": "w"}, "options": {"cas": -1}})
    ask("cas null", "PUT", f"{d}/o/casnull", {"data": {"k": "w"}, "options": {"cas": None}})
    ask("options null", "PUT", f"{d}/o/optnull", {"data": {"k": "w"}, "options": None})
    ask("options text", "PUT", f"{d}/o/opttext", {"data": {"k": "w"}, "options": "x"})
    ask("read", "GET", f"{d}/o/a")
    ask("read 1", "GET", f"{d}/o/a?version=1")
    ask("read 0", "GET", f"{d}/o/a?version=0")
    ask("read -1", "GET", f"{d}/o/a?version=-1")
    ask("read x", "GET", f"{d}/o/a?version=x")
    ask("read empty", "GET", f"{d}/o/a?version=")
    ask("read 99", "GET", f"{d}/o/a?version=99")
    ask("read with a slash", "GET", f"{d}/o/a/")
    ask("write with a slash", "POST", f"{d}/o/slash/", {"data": {"k": "w"}})
    ask("write at root", "POST", f"{d}", {"data": {"k": "w"}})
    ask("write at root/", "POST", f"{d}/", {"data": {"k": "w"}})
    ask("read root", "GET", f"{d}")
    ask("no data", "POST", f"{d}/o/b", {})
    ask("data null", "POST", f"{d}/o/b", {"data": None})
    ask("data text", "POST", f"{d}/o/b", {"data": "x"})
    ask("data list", "POST", f"{d}/o/b", {"data": [1]})
    ask("data empty", "POST", f"{d}/o/empty", {"data": {}})
    ask("read empty data", "GET", f"{d}/o/empty")
    ask("more members", "POST", f"{d}/o/more", {"data": {"k": 1}, "nonsense": 3})
    ask("bad json", "POST", f"{d}/o/b", raw=b"{nope")
    ask("half json", "POST", f"{d}/o/b", raw=b'{"data": {"a": ')
    ask("json and more", "POST", f"{d}/o/b2", raw=b'{"data": {"a": 1}} trailing')
    ask("json list", "POST", f"{d}/o/b", raw=b"[1]")
    ask("json text", "POST", f"{d}/o/b", raw=b'"x"')
    ask("json null", "POST", f"{d}/o/b", raw=b"null")
    ask("no body", "POST", f"{d}/o/b")
    ask("empty body", "POST", f"{d}/o/b", raw=b"")
    ask("form type", "POST", f"{d}/o/form", {"data": {"k": 1}}, headers={"Content-Type": "application/x-www-form-urlencoded"})
    ask("form body", "POST", f"{d}/o/form2", raw=b"data=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    # As `curl -d name=value` sends it; numbers and booleans are texts there.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ask("form of one", "POST", "/v1/auth/token/create", raw=b"ttl=60&renewable=false", headers=form)
    ask("form of none", "POST", "/v1/auth/token/create", raw=b"ttl=never", headers=form)
    ask("form capabilities", "POST", "/v1/sys/capabilities-self", raw=b"paths=secret%2Fdata%2Fo&paths=nope", headers=form)
    ask("form destroy", "POST", "/v1/secret/destroy/o/nothing", raw=b"versions=1&versions=2", headers=form)
    ask("form plus and percent", "PUT", "/v1/secret/metadata/o/nothing", raw=b"a=%2B+", headers=form)
    ask("duplicate keys", "POST", f"{d}/o/dup", raw=b'{"data": {"a": 1, "a": 2}}')
    ask("read duplicate", "GET", f"{d}/o/dup")
    ask("numbers", "POST", f"{d}/o/num", raw=b'{"data": {"big": 12345678901234567890123, "e": 1e3, "f": 1.10}}')
    ask("read numbers", "GET", f"{d}/o/num")
    ask("unicode", "POST", f"{d}/o/uni", raw='{"data": {"sch\u00f6n": "\U0001f600 <&> \\u00e9 \\/"}}'.encode())
    ask("read unicode", "GET", f"{d}/o/uni")
    ask("patch", "PATCH", f"{d}/o/a", {"data": {"k": None, "new": {"x": 1}}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("read patched", "GET", f"{d}/o/a")
    ask("patch nested", "PATCH", f"{d}/o/a", {"data": {"new": {"y": 2}}, "options": {"cas": 3}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("read patched 2", "GET", f"{d}/o/a")
    ask("patch wrong cas", "PATCH", f"{d}/o/a", {"data": {"q": 2}, "options": {"cas": 1}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("patch without type", "PATCH", f"{d}/o/a", {"data": {"new": {"y": 2}}})
    ask("patch json type", "PATCH", f"{d}/o/a", {"data": {"new": {"y": 2}}}, headers={"Content-Type": "application/json"})
    ask("patch no data", "PATCH", f"{d}/o/a", {}, headers={"Content-Type": "application/merge-patch+json"})
    ask("patch absent", "PATCH", f"{d}/o/absent", {"data": {"q": 2}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("metadata", "GET", f"{m}/o/a")
    ask("metadata absent", "GET", f"{m}/o/absent")
    ask("metadata put", "PUT", f"{m}/o/a", {"custom_metadata": {"team": "x", "env": "p"}})
    ask("metadata of it", "GET", f"{m}/o/a")
    ask("data with custom", "GET", f"{d}/o/a")
    ask("metadata patch", "PATCH", f"{m}/o/a", {"custom_metadata": {"team": None, "q": "1"}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("metadata of it", "GET", f"{m}/o/a")
    ask("metadata post empty", "POST", f"{m}/o/a", {})
    ask("metadata of it", "GET", f"{m}/o/a")
    ask("metadata no custom", "POST", f"{m}/o/a", {"custom_metadata": {}})
    ask("metadata of it", "GET", f"{m}/o/a")
    ask("metadata number", "POST", f"{m}/o/a", {"custom_metadata": {"n": 1}})
    ask("metadata text", "POST", f"{m}/o/a", {"custom_metadata": "x"})
    ask("metadata null", "POST", f"{m}/o/a", {"custom_metadata": None})
    ask("metadata defaults", "POST", f"{m}/o/a", {"max_versions": 0, "cas_required": False, "delete_version_after": "0s"})
    ask("metadata first", "PUT", f"{m}/o/meta", {"custom_metadata": {"managed-by": "eso"}})
    ask("metadata of it", "GET", f"{m}/o/meta")
    ask("data of it", "GET", f"{d}/o/meta")
    ask("data put on it", "PUT", f"{d}/o/meta", {"data": {"a": 1}, "options": {"cas": 0}})
    ask("metadata of it", "GET", f"{m}/o/meta")
    ask("metadata patch absent", "PATCH", f"{m}/o/absent", {"custom_metadata": {"a": "1"}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("metadata empty path", "GET", f"{m}/")
    ask("list", "LIST", f"{m}/o")
    ask("list/", "LIST", f"{m}/o/")
    ask("list get", "GET", f"{m}/o?list=true")
    ask("list get/", "GET", f"{m}/o/?list=true")
    ask("list false", "GET", f"{m}/o?list=false")
    ask("list bad", "GET", f"{m}/o/?list=maybe")
    ask("list root", "LIST", f"{m}")
    ask("list root/", "GET", f"{m}/?list=true")
    ask("list a leaf", "LIST", f"{m}/o/a")
    ask("list absent", "LIST", f"{m}/nothing")
    ask("list data", "LIST", f"{d}/o")
    ask("write deep", "POST", f"{d}/o/a/deep/er", {"data": {"k": 1}})
    ask("list", "LIST", f"{m}/o")
    ask("list", "LIST", f"{m}/o/a")
    ask("delete latest", "DELETE", f"{d}/o/a")
    ask("read deleted", "GET", f"{d}/o/a")
    ask("read old", "GET", f"{d}/o/a?version=1")
    ask("metadata", "GET", f"{m}/o/a")
    ask("patch deleted", "PATCH", f"{d}/o/a", {"data": {"q": 2}}, headers={"Content-Type": "application/merge-patch+json"})
    ask("delete again", "DELETE", f"{d}/o/a")
    ask("undelete", "POST", "/v1/secret/undelete/o/a", {"versions": [4, "3"]})
    ask("read undeleted", "GET", f"{d}/o/a")
    ask("delete versions", "PUT", "/v1/secret/delete/o/a", {"versions": ["1", 2]})
    ask("read deleted 1", "GET", f"{d}/o/a?version=1")
    ask("destroy", "PUT", "/v1/secret/destroy/o/a", {"versions": ["2", 77]})
    ask("read destroyed", "GET", f"{d}/o/a?version=2")
    ask("undelete destroyed", "PUT", "/v1/secret/undelete/o/a", {"versions": [2]})
    ask("metadata", "GET", f"{m}/o/a")
    ask("destroy latest", "PUT", "/v1/secret/destroy/o/a", {"versions": [4]})
    ask("read latest", "GET", f"{d}/o/a")
    ask("metadata", "GET", f"{m}/o/a")
    ask("versions none", "POST", "/v1/secret/destroy/o/a", {})
    ask("versions empty", "POST", "/v1/secret/destroy/o/a", {"versions": []})
    ask("versions bad", "POST", "/v1/secret/destroy/o/a", {"versions": ["x"]})
    ask("versions one", "POST", "/v1/secret/delete/o/a", {"versions": 3})
    ask("versions text", "POST", "/v1/secret/undelete/o/a", {"versions": "3,1"})
    ask("delete absent", "DELETE", f"{d}/o/absent")
    ask("undelete absent", "POST", "/v1/secret/undelete/o/absent", {"versions": [1]})
    ask("destroy absent", "POST", "/v1/secret/destroy/o/absent", {"versions": [1]})
    ask("write after", "POST", f"{d}/o/a", {"data": {"again": 1}})
    for n in range(12):
        ask(f"write {n}", "POST", f"{d}/o/many", {"data": {"n": n}})
    ask("metadata of many", "GET", f"{m}/o/many")
    ask("read 1 of many", "GET", f"{d}/o/many?version=1")
    ask("read 2 of many", "GET", f"{d}/o/many?version=3")
    ask("subkeys", "GET", "/v1/secret/subkeys/o/uni")
    ask("subkeys depth", "GET", "/v1/secret/subkeys/o/num?depth=1")
    ask("subkeys absent", "GET", "/v1/secret/subkeys/o/absent")
    ask("config", "GET", "/v1/secret/config")
    ask("config write", "POST", "/v1/secret/config", {"max_versions": 0})
    ask("delete metadata", "DELETE", f"{m}/o/many")
    ask("read gone", "GET", f"{d}/o/many")
    ask("delete metadata again", "DELETE", f"{m}/o/many")
    ask("capabilities", "POST", "/v1/sys/capabilities-self", {"paths": ["secret/data/o/a", "nope"]})
    ask("capabilities one", "POST", "/v1/sys/capabilities-self", {"path": "secret/data/o/a"})
    ask("capabilities none", "POST", "/v1/sys/capabilities-self", {})
    ask("wrong approle", "POST", "/v1/auth/approle/login", {"role_id": "x", "secret_id": "y"}, token=False)
    ask("half approle", "POST", "/v1/auth/approle/login", {"role_id": "x"}, token=False)
    ask("empty approle", "POST", "/v1/auth/approle/login", {}, token=False)
    ask("create", "POST", "/v1/auth/token/create", {"ttl": "10m", "display_name": "x"})
    ask("create seconds", "POST", "/v1/auth/token/create", {"ttl": 600, "renewable": False})
    ask("create bad ttl", "POST", "/v1/auth/token/create", {"ttl": "soon"})
    ask("no route", "GET", "/v1/nope/x")
    ask("no route", "POST", "/v1/nope/x", {})
    ask("not under v1", "GET", "/v2/x")
    ask("v1", "GET", "/v1/")
    ask("unsupported path", "GET", "/v1/secret/nope/a")
    ask("mount alone", "GET", "/v1/secret")
    ask("mount alone/", "GET", "/v1/secret/")
    ask("unsupported method", "DELETE", "/v1/sys/health")
    ask("unsupported method", "DELETE", "/v1/secret/config")
    ask("odd path", "POST", f"{d}/o/with%20space", {"data": {"k": 1}})
    ask("odd path", "GET", f"{d}/o/with%20space")
    ask("unicode path", "POST", f"{d}/o/m%C3%BCnchen", {"data": {"k": 1}})
    ask("percent", "POST", f"{d}/o/a%2Fb", {"data": {"k": 1}})
    ask("percent", "GET", f"{d}/o/a/b")
    ask("plus", "POST", f"{d}/o/a+b", {"data": {"k": 1}})
    ask("plus", "GET", f"{d}/o/a%2Bb")
    ask("list", "LIST", f"{m}/o")
    ask("dots", "GET", f"{d}/o/../o/num")
    ask("double", "GET", f"{d}/o//num")
    ask("control", "POST", f"{d}/o/x%01y", {"data": {"k": 1}})
    ask("wrap", "GET", f"{d}/o/num", headers={"X-Vault-Wrap-TTL": "60"})
    for encoded in ("x/..%2Fnum", "x/%2e%2e/num", "x%2F..%2Fnum", ".%2Fnum", "num%2F."):
        ask(f"encoded dots {encoded}", "GET", f"{d}/o/{encoded}")
    for nothing in (None, ""):
        ask("cas that says nothing", "POST", f"{d}/o/num", {"data": {"n": 1}, "options": {"cas": nothing}})
        ask("cas that says nothing", "PATCH", f"{d}/o/num", {"data": {"n": 1}, "options": {"cas": nothing}}, headers={"Content-Type": "application/merge-patch+json"})
    for kind in ("delete", "undelete", "destroy"):
        ask(f"{kind} with a slash", "POST", f"/v1/secret/{kind}/o/num/", {"versions": [1]})
        ask(f"{kind} of an empty text", "POST", f"/v1/secret/{kind}/o/num", {"versions": ""})
    ask("write to be deleted", "POST", f"{d}/o/gone", {"data": {"k": 1}})
    ask("delete with a slash", "DELETE", f"{d}/o/gone/")
    ask("read what is deleted", "GET", f"{d}/o/gone")
    ask("delete metadata with a slash", "DELETE", f"{m}/o/gone/")
    ask("metadata of what is gone", "GET", f"{m}/o/gone")
    for method, where in (("GET", "nope/x"), ("GET", "sys/nope"), ("GET", "auth/nope"), ("DELETE", "auth/token/create"), ("GET", "secret/nope")):
        ask(f"stranger {where}", method, f"/v1/{where}", token=False)
    ask("init", "GET", "/v1/sys/init", token=False)
    ask("list of a value", "GET", f"{d}/o/num?list=true")
    ask("list of subkeys", "GET", "/v1/secret/subkeys/o/num?list=true")
    ask("max_versions in a list", "POST", "/v1/secret/config", {"max_versions": [10]})
    ask("delete_version_after", "POST", "/v1/secret/config", {"delete_version_after": "0.0s"})
    ask("tune", "POST", "/v1/sys/mounts/secret/tune", {"options": {"version": "2"}})
    ask("mount absent", "GET", "/v1/sys/mounts/nope")
    ask("mounts deleted", "DELETE", "/v1/sys/mounts")
    ask("paths with commas", "POST", "/v1/sys/capabilities-self", {"paths": "secret/data/o/a,data"})
    ask("empty token header", "GET", f"{m}/o/gone", headers={"X-Vault-Token": ""}, token=False)
    return out


if __name__ == "__main__":
    for title, status, headers, body in lines(Server(sys.argv[1], sys.argv[2])):
        print(f"{title}\n  {status} {headers} {json.dumps(body, sort_keys=True, ensure_ascii=False)}")
