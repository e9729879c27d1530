"""The SDKs' own signing code against the service's, on random requests: whatever is in a parameter, its signature is right.

Each request is one that the service refuses for what it asks, after the signature: so nothing is written, and what would show a
difference is the code of a refusal.
"""

import os
import random

import pytest

from clients import Refused

# Over all SDKs, on each of the two databases.
REQUESTS = max(2_500, int(50_000 * float(os.environ.get("BULLA_SOAK") or 0)))

# Characters that encodings treat differently, and others.
AWKWARD = " +%&=~*'()!$,;:@/?#[]\"\\<>{}|^`-_.\t\n\r\x7f\u00a0\u00e9\u0301\u2028\u6570\u636e\U0001f511"


def text(source, longest):
    """Text without a NUL, which no SDK can send."""
    letters = []
    for _ in range(source.randint(1, longest)):
        kind = source.random()
        if kind < 0.5:
            letters.append(source.choice(AWKWARD))
        elif kind < 0.9:
            letters.append(chr(source.randint(0x20, 0x7E)))
        else:
            letters.append(chr(source.choice([source.randint(1, 0xD7FF), source.randint(0xE000, 0x10FFFF)])))
    return "".join(letters)


def refused(sdk, action, **parameters):
    try:
        sdk.call(action, **parameters)
    except Refused as e:
        return e.code
    return None


@pytest.mark.parametrize("sdk_class", ["core", "core-body", "tea", "tea-rpc", "java", "go"], indirect=True)
def test_random_requests(sdk, request):
    count = REQUESTS // 6
    seed = int(os.environ.get("BULLA_SEED") or random.randrange(1 << 32))
    print(f"BULLA_SEED={seed}")
    source = random.Random(seed)
    for n in range(count):
        # A blank is in no name, so neither call finds or makes anything.
        name = "no name " + text(source, 40)
        if n % 2:
            parameters = dict(SecretName=name, VersionId=text(source, 20), VersionStage=text(source, 20))
            code = refused(sdk, "GetSecretValue", **parameters)
        else:
            parameters = dict(SecretName=name, VersionId="v1", SecretData=text(source, 200), Description=text(source, 40))
            code = refused(sdk, "CreateSecret", **parameters)
        assert code in ("InvalidParameter", "Forbidden.ResourceNotFound"), (n, code, parameters)
