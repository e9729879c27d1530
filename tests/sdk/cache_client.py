"""Watches one secret through an official caching client, as a long-running application would.

    cache_client.py v1|v2|v1-client-key SECRET TTL_MS

Prints the value each time it is another one, as a line of JSON, until standard input ends; `{"refused": CODE}` and nothing else
when the service refuses the first read. test_cache_clients.py runs it in a
virtual environment of its own, since the older client wants a cryptography that the suite's SDKs cannot have. Which Bulla comes
from the BULLA_… variables of conftest.py.
"""

import json
import logging
import os
import sys
import threading
import time


def v1(endpoint, region, key_id, key_secret):
    """aliyun-secret-manager-client: speaks plain HTTP only where the endpoint says so."""
    from alibaba_cloud_secretsmanager_client.model.region_info import RegionInfo
    from alibaba_cloud_secretsmanager_client.secret_manager_cache_client_builder import SecretManagerCacheClientBuilder
    from alibaba_cloud_secretsmanager_client.service.default_secret_manager_client_builder import BaseSecretManagerClientBuilder

    base = BaseSecretManagerClientBuilder.standard()
    base.with_access_key(key_id, key_secret).add_region_info(RegionInfo(region, False, f"http://{endpoint}"))
    return SecretManagerCacheClientBuilder, base


def v2(endpoint, region, key_id, key_secret):
    """alibabacloud-secretsmanager-client-v2: speaks plain HTTP only with a configuration of its own."""
    from alibabacloud_secretsmanager_client_v2.secret_manager_cache_client_builder import SecretManagerCacheClientBuilder
    from alibabacloud_secretsmanager_client_v2.service.default_secret_manager_client_builder import BaseSecretManagerClientBuilder
    from alibabacloud_tea_openapi.models import Config

    base = BaseSecretManagerClientBuilder.standard()
    base.add_config(
        Config(
            endpoint=endpoint, protocol="http", region_id=region, access_key_id=key_id, access_key_secret=key_secret
        )
    )
    return SecretManagerCacheClientBuilder, base


def v1_client_key(*_):
    """The same client with a client key: that and where to go it takes from the environment."""
    from alibaba_cloud_secretsmanager_client.secret_manager_cache_client_builder import SecretManagerCacheClientBuilder
    from alibaba_cloud_secretsmanager_client.service.default_secret_manager_client_builder import BaseSecretManagerClientBuilder

    return SecretManagerCacheClientBuilder, BaseSecretManagerClientBuilder.standard()


KINDS = {"v1": v1, "v2": v2, "v1-client-key": v1_client_key}


def main():
    kind, secret, ttl_ms = sys.argv[1:]
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    where = [os.environ[f"BULLA_{name}"] for name in ("ENDPOINT", "REGION", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET")]
    builder, base = KINDS[kind](*where)
    try:
        client = builder.new_cache_client_builder(base.build()).with_secret_ttl(secret, int(ttl_ms)).build()
    except Exception as e:
        if getattr(e, "get_http_status", lambda: 0)() != 403:
            raise
        print(json.dumps({"refused": e.get_error_code()}), flush=True)
        sys.stdin.read()
        os._exit(0)

    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    last = None
    while not over.is_set():
        try:
            value = client.get_secret_value(secret)
        except Exception:  # an application goes on with what it has until the service is back
            logging.exception("no value")
            time.sleep(0.2)
            continue
        if value != last:
            print(json.dumps(value), flush=True)
            last = value
        over.wait(0.05)
    os._exit(0)  # not through the clients' close, which waits for all of their retries


if __name__ == "__main__":
    main()
