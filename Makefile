# Bulla's commands. Each installs what it needs first (scripts/setup.sh says what) and may be run again at any time.
#
#   make run     build Bulla and start it with a throw-away token and database; ARGS="…" go to `bulla dev`
#   make test    everything that CI runs
#   make soak    the tests of reliability at their full size: hours; ARGS="…" go to cargo test (docs/reliability.md)

SHELL := /bin/bash
# Where rustup puts cargo: not in the PATH of a fresh login, nor in sudo's.
export PATH := $(PATH):$(HOME)/.cargo/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test soak

help:
	@sed -n 's/^#   //p' Makefile

run:
	@scripts/setup.sh run
	@echo "run: building (the first time takes some minutes)"
	@cargo run --release --locked --bin bulla -- dev $(ARGS)

test:
	@scripts/setup.sh test
	@scripts/test.sh

soak:
	@scripts/setup.sh test
	@BULLA_SOAK=1 cargo test --locked --test it $(ARGS) -- --nocapture
