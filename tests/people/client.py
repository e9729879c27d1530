"""A client of a few lines (RPC, signature 1.0), for scripts of persons: one connection a call, over TLS where an authority is named."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import ssl
import urllib.parse
import uuid


class Away(Exception):
    """Nothing was sent: the node takes no connection."""


class Client:
    def __init__(self, access_key_id, access_key_secret, authority=None):
        self.id, self.secret = access_key_id, access_key_secret
        self.context = ssl.create_default_context(cafile=authority) if authority else None

    def signed(self, action, parameters):
        quoted = lambda text: urllib.parse.quote(str(text), safe="~")  # noqa: E731
        now = datetime.datetime.now(datetime.timezone.utc)
        members = parameters | {
            "Action": action, "Version": "2016-01-20", "Format": "JSON", "AccessKeyId": self.id, "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0", "SignatureNonce": uuid.uuid4(), "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        text = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted(members.items()))
        digest = hmac.new(f"{self.secret}&".encode(), f"POST&%2F&{quoted(text)}".encode(), hashlib.sha1).digest()
        return f"{text}&Signature={quoted(base64.b64encode(digest).decode())}"

    def call(self, endpoint, action, **parameters):
        """Status and answer; `Away` where the connection was not even made, and the connection's own error where it broke later."""
        if self.context:
            connection = http.client.HTTPSConnection(endpoint, timeout=30, context=self.context)
        else:
            connection = http.client.HTTPConnection(endpoint, timeout=30)
        try:
            try:
                connection.connect()
            except (ConnectionError, ssl.SSLEOFError) as error:
                raise Away(endpoint) from error
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
            connection.request("POST", "/", self.signed(action, parameters), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
