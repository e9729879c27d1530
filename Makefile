# Bulla's commands. Each installs what it needs first (scripts/setup.sh says what) and may be run again at any time.
#
#   make run     build Bulla and start it with a throw-away token and database; ARGS="…" go to `bulla dev`
#   make test    everything that CI runs
#   make clients the aliyun CLI and Terraform against Bulla, where they are or can be built: longer than CI has time for
#   make vault-clients  clients of Vault's API that take long to install or build: Ansible, vaultrs, an OpenBao server that unseals 20 times
#   make deb     a Debian package of the release build, target/bulla.deb
#   make client  the commands that ask a server alone, target/client/bulla: small, without libpq and PKCS#11 (docs/cli.md)
#   make image   an OCI image of it, target/bulla-oci.tar, pulled from nowhere (needs buildah)
#   make bench   Bulla beside a program that does only what cannot be left out: rates, ratios, memory (docs/performance.md);
#                ARGS="compare COMMIT" Bulla beside itself as of a commit, in turns; ARGS=million with 1,000,000 secrets
#   make soak    the tests of reliability at their full size: hours; ARGS="…" go to cargo test (docs/reliability.md)

SHELL := /bin/bash
# Where rustup puts cargo: not in the PATH of a fresh login, nor in sudo's.
export PATH := $(PATH):$(HOME)/.cargo/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test clients vault-clients deb client image bench soak

help:
	@sed -n 's/^#   //p' Makefile

run:
	@scripts/setup.sh run
	@scripts/building.sh quick
	@cargo run --quiet --profile quick --locked --bin bulla -- dev $(ARGS)

test:
	@scripts/setup.sh test
	@scripts/test.sh

clients:
	@scripts/setup.sh test
	@cargo build --locked --bin bulla
	@tests/sdk/run.py --tools $(ARGS)

vault-clients:
	@scripts/setup.sh test
	@cargo build --locked --bin bulla
	@tests/sdk/run.py --vault-tools $(ARGS)

bench:
	@scripts/setup.sh run
	@cargo build --release --locked --package bulla --package bulla-bench --package bulla-chaos
	@cargo run --quiet --release --locked --package bulla-bench -- $(ARGS)

soak:
	@scripts/setup.sh test
	@BULLA_SOAK=1 cargo test --locked --lib --test it $(ARGS) -- --nocapture
	@cargo build --locked --bin bulla
	@BULLA_SOAK=1 tests/people/run.sh -k import_that_is_killed

deb:
	@scripts/setup.sh run
	@cargo build --release --locked --bin bulla
	@packaging/build-deb.sh target/release/bulla target/bulla.deb

client:
	@scripts/setup.sh run
	@cargo build --profile client --no-default-features --features client --locked --bin bulla
	@scripts/client.sh target/client/bulla

image:
	@scripts/setup.sh run
	@cargo build --release --locked --bin bulla
	@packaging/oci/build.sh target/release/bulla target/bulla-oci.tar
