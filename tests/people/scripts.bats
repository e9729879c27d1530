#!/usr/bin/env bats
# What scripts do with secrets: pipes, substitutions, loops, exit codes. test_scripts.py runs it against servers; $BULLA is the program,
# $BULLA_PROFILE the folder of `bulla dev`. Names are new for each test, since the server is not.

bats_require_minimum_version 1.5.0

bulla() { "$BULLA" "$@"; }

setup() {
  set -o pipefail
  name="scripts/$BATS_TEST_NUMBER/$RANDOM$RANDOM"
  cd "$BATS_TEST_TMPDIR"
}

@test "a value goes through a pipe and a substitution as it is" {
  printf %s "it's a \"quote\", \$HOME, \\ and é" | bulla secret put "$name" -
  value=$(bulla secret get "$name")
  [ "$value" = "it's a \"quote\", \$HOME, \\ and é" ]
}

@test "bytes go in and come out as they are" {
  head -c 20000 /dev/urandom >bytes
  bulla secret put "$name" - <bytes
  bulla secret get "$name" | cmp - bytes
  bulla secret get "$name" --out copy
  cmp copy bytes
  [ "$(stat -c %a copy)" = 600 ]
}

@test "what a command that succeeds prints is its result alone" {
  run --separate-stderr bulla secret put "$name" --generate 32
  [ "$status" -eq 0 ] && [ -z "$stderr" ]
  run --separate-stderr bulla secret get "$name"
  [ "$status" -eq 0 ] && [ -z "$stderr" ] && [ "${#output}" -eq 32 ]
}

@test "a script under set -e ends where a secret is missing" {
  run --separate-stderr bash -ec 'value=$("$BULLA" secret get scripts/none); echo "goes on with $value"'
  [ "$status" -eq 3 ] && [ -z "$output" ]
  [[ $stderr == "error: "* ]]
}

@test "exit codes tell a script what to do" {
  run bulla secret get
  [ "$status" -eq 2 ]
  run bulla secret get scripts/none
  [ "$status" -eq 3 ]
  printf one | bulla secret put "$name" --version-id one
  run bash -c "printf x | '$BULLA' secret put '$name' --create"
  [ "$status" -eq 5 ]
  run env ALIBABA_CLOUD_ACCESS_KEY_ID=none ALIBABA_CLOUD_ACCESS_KEY_SECRET=none "$BULLA" --endpoint "$ENDPOINT" ${CA:+--ca "$CA"} whoami
  [ "$status" -eq 4 ]
  run env ALIBABA_CLOUD_ACCESS_KEY_ID=a ALIBABA_CLOUD_ACCESS_KEY_SECRET=b "$BULLA" --endpoint http://127.0.0.1:1 whoami
  [ "$status" -eq 6 ]
  run bulla secret put "$name" --file absent
  [ "$status" -eq 7 ]
}

@test "one of two who change a value finds that out" {
  printf one | bulla secret put "$name" --version-id one
  printf two | bulla secret put "$name" --version-id two --if-version one
  if printf late | bulla secret put "$name" --version-id late --if-version one 2>said; then false; fi
  grep -q two said
  [ "$(bulla secret get "$name")" = two ]
}

@test "a loop goes over a list, and a list is cut by head without a word" {
  for n in 1 2 3; do printf %s "$n" | bulla secret put "$name/$n" -; done
  sum=0
  while read -r each; do sum=$((sum + $(bulla secret get "$each"))); done < <(bulla secret list "$name/")
  [ "$sum" -eq 6 ]
  for n in 1 2 3 4 5 6 7 8 9 10; do
    run --separate-stderr bash -c "set -o pipefail; '$BULLA' secret list '$name/' | head -n 1"
    [ "$status" -eq 0 ] && [ "$output" = "$name/1" ] && [ -z "$stderr" ]
  done
  run --separate-stderr bash -c "set -o pipefail; '$BULLA' secret get '$name/1' | true"
  [ "$status" -eq 0 ] && [ -z "$stderr" ]
}

@test "JSON is for programs" {
  printf '{"user":"u","password":"p 1"}' | bulla secret put "$name" --version-id one --tag team=blue
  printf 'p 2' | bulla secret patch "$name" password=-
  [ "$(bulla secret get "$name" --field password)" = "p 2" ]
  bulla secret versions "$name" --json | python3 -c '
import json, sys
stages = {v["VersionId"]: v["VersionStages"] for v in json.load(sys.stdin)}
assert stages.pop("one") == ["ACSPrevious"] and list(stages.values()) == [["ACSCurrent"]], stages'
  bulla secret rollback "$name"
  [ "$(bulla secret get "$name" --field password)" = "p 1" ]
  run --separate-stderr bulla secret get scripts/none --json
  printf %s "$stderr" | python3 -c 'import json, sys; error = json.load(sys.stdin)["error"]; assert error["status"] == 404, error'
}

@test "a program runs with its secrets, and its exit code and input are its own" {
  printf 's3cret' | bulla secret put "$name" -
  [ "$(bulla run -e VALUE="$name" -- sh -c 'printf %s "$VALUE"')" = s3cret ]
  [ "$(VALUE="bulla://$name" bulla run -- printenv VALUE)" = s3cret ]
  printf 'VALUE=bulla://%s\nOTHER=plain\n' "$name" >.env
  [ "$(bulla run --env-file .env -- sh -c 'echo "$VALUE $OTHER"')" = "s3cret plain" ]
  [ "$(echo input | bulla run -e VALUE="$name" -- cat)" = input ]
  run bulla run -e VALUE="$name" -- sh -c 'exit 42'
  [ "$status" -eq 42 ]
  run bulla run -e VALUE="$name" -- sh -c 'kill -TERM $$'
  [ "$status" -eq 143 ]
  run -127 bulla run -e VALUE="$name" -- "$PWD/absent"
  run bulla run -e VALUE="$name" -e NONE=scripts/none -- touch began
  [ "$status" -eq 3 ] && [ ! -e began ]
}

@test "a template is filled, or its file stays as it was" {
  printf 'p&w' | bulla secret put "$name" -
  echo "password={{ bulla://$name }}" | bulla inject -o out
  [ "$(cat out)" = "password=p&w" ] && [ "$(stat -c %a out)" = 600 ]
  run bash -c "echo '{{ bulla://scripts/none }}' | '$BULLA' inject -o out"
  [ "$status" -eq 3 ] && [ "$(cat out)" = "password=p&w" ]
}

@test "many go out as lines that a shell reads, and in again" {
  printf 'URL=postgres://u:p@h/d\nTOKEN="a b"\n' >app.env
  bulla secret import app.env --prefix "$name/"
  bulla secret export --prefix "$name/" --format json --out all.json
  bulla secret import all.json --prefix "$name/again/"
  eval "$(bulla secret export "$name/again/TOKEN" --format env | sed 's/^[A-Za-z0-9_]*=/token=/')"
  [ "$token" = "a b" ]
}

@test "keys encrypt and sign what comes through a pipe" {
  key=$(bulla key create --alias "$name" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["KeyId"])')
  head -c 4000 /dev/urandom >plain
  bulla key encrypt "alias/$name" <plain >blob
  bulla key decrypt <blob | cmp - plain
  bulla key disable "$key"
  run bash -c "'$BULLA' key encrypt '$key' <plain"
  [ "$status" -eq 5 ]
  pair=$(bulla key create --spec EC_P256 --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["KeyId"])')
  bulla key public-key "$pair" >public.pem
  bulla key sign "$pair" <plain | base64 -d >signature
  openssl dgst -sha256 -verify public.pem -signature signature plain
}

@test "no value stands on a command line" {
  printf 'c4nary-%s' "$name" | bulla secret put "$name" -
  bulla run -e VALUE="$name" -- sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " "' >lines
  run grep -F "c4nary-$name" lines
  [ "$status" -eq 1 ]
}
