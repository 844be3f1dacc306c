# The commands of this project. Every one installs what it needs first (script/bootstrap), with apt, and says so.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build run test benchmark tsan lint format clean

SWIFT := script/swift
PIPELINE ?= pipeline.yaml

help:                ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build:               ## builds the interchange binary and the modules, for release, into one directory
	@script/bootstrap build
	@$(SWIFT) build -c release
	@echo "built: $$($(SWIFT) build -c release --show-bin-path)/interchange"

run:                 ## builds, and starts the gateway on pipeline.yaml (PIPELINE=FILE for another)
	@script/bootstrap build try
	@$(SWIFT) build -c release
	@mkdir -p var
	@echo "Once it listens, from other terminals, here:"
	@echo "  script/try-sink                                        prints the mail that the gateway passes on"
	@echo "  swaks -s 127.0.0.1:2525 -f you@example.org -t friend@example.net     sends one; README.md goes on from there"
	@exec "$$($(SWIFT) build -c release --show-bin-path)/interchange" run -c "$(PIPELINE)"

test:                ## builds for debugging and runs every test (FILTER=Name for some)
	@script/bootstrap build test
	@$(SWIFT) build --build-tests
	@$(SWIFT) test --skip-build $(if $(FILTER),--filter $(FILTER))

benchmark:           ## runs every benchmark beside its peers; takes long, wants an idle machine
	@script/bootstrap build test
	@for run in Benchmarks/*/run; do echo "== $$run"; $(SWIFT) -- "$$run" || exit 1; done

tsan:                ## runs the ring's tests under the thread sanitizer, optimised
	@script/bootstrap build test
	@$(SWIFT) -- script/tsan

lint:                ## reports what swift format would change or complain about
	@$(SWIFT) format lint -r -p Package.swift Sources plugins Tests Benchmarks

format:              ## formats every Swift file
	@$(SWIFT) format -i -r -p Package.swift Sources plugins Tests Benchmarks

clean:               ## removes what was built; var/ stays
	@rm -rf .build Benchmarks/*/.build
