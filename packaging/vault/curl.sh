#!/bin/sh
# A secret with curl alone. BULLA_ID and BULLA_SECRET_FILE: an access key id, and the file of its secret, which stands in no argument.
set -eu
ca=/etc/bulla/ca.crt url=https://bulla:8443
token=$(
  printf '{"role_id":"%s","secret_id":"%s"}' "$BULLA_ID" "$(cat "$BULLA_SECRET_FILE")" |
    curl -fsS --cacert $ca $url/v1/auth/approle/login -d @- | sed -n 's/.*"client_token":"\([^"]*\)".*/\1/p'
)
# From standard input, so that the token stands in no argument either.
printf 'header = "X-Vault-Token: %s"\n' "$token" | curl -fsS --cacert $ca -K - $url/v1/secret/data/app/db |
  sed -n 's/.*"password":"\([^"]*\)".*/\1/p'
printf 'header = "X-Vault-Token: %s"\n' "$token" | curl -fsS --cacert $ca -K - -X POST $url/v1/auth/token/revoke-self
