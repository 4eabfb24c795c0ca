# `make help` lists what there is. Everything runs in its own virtual environment.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3 2>/dev/null))
VENV   ?= .venv
PY     := $(VENV)/bin/python
BIN    := $(VENV)/bin
DATA   ?= data/portraits
OUT    ?= models
NOTE   ?= Official portraits of members of the US Congress, 1789 to today (works of the US government, collected in voteview/member_photos on GitHub): photographs, tinted prints and engravings, nearly all of men. Non-faces are cut from the same portraits and from landscape photographs; half of the held-out faces have a piece of their own background among the training non-faces, so face against non-face is easier here than on strangers' pictures.
SERVE  ?=
STUDIO ?=
BENCH  ?=
TESTS  ?= tests
# Processes that run tests: 0 for this one alone, "auto" for one a core, four at most.
JOBS   ?= 0

INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help serve studio demo test bench bench-growth lint format protos protos-check default-model docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11 or name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) -V); Python 3.11 or newer is needed" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.server: pyproject.toml constraints.txt | $(PY)
	@echo "installing the server and the client into $(VENV)"
	@$(INSTALL) '.[server,cli]'
	@touch $@

$(VENV)/.studio: pyproject.toml constraints.txt | $(PY)
	@echo "installing the studio into $(VENV)"
	@$(INSTALL) '.[studio]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(PY)
	@echo "installing everything into $(VENV); with PyTorch this takes a minute or more"
	@$(INSTALL) '.[dev]'
	@touch $(VENV)/.server $(VENV)/.studio $@

serve: $(VENV)/.server ## Run the service on the committed bundle (127.0.0.1:50051); options in SERVE=
	$(BIN)/evenface-server --models models $(SERVE)

studio: $(VENV)/.studio ## Show what is served as a page (127.0.0.1:7860); options in STUDIO=
	$(BIN)/evenface-studio $(STUDIO)

demo: $(VENV)/.server ## Start a server, call every RPC, leave pictures in demo-output/
	$(PY) demo/demo.py --out demo-output

test: $(VENV)/.dev ## Run all tests; one part with TESTS=tests/unit, a process a core with JOBS=auto
	$(PY) -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

bench: $(VENV)/.dev ## Compare with limits and other model servers (20 minutes); options in BENCH=
	$(PY) -m benchmarks.serving compare $(BENCH)

bench-growth: $(VENV)/.dev ## Measure how cost grows with load, images and models; options in BENCH=
	$(PY) -m benchmarks.serving growth $(BENCH)

lint: $(VENV)/.dev ## Style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

protos: $(VENV)/.dev ## Generate the stubs in protos/gen from protos/evenface
	@rm -f protos/gen/evenface/*/*_pb2*
	@include=$$($(PY) -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])') && \
	PATH="$(abspath $(BIN)):$$PATH" $(PY) -m grpc_tools.protoc -I protos -I "$$include" \
	  --python_out=protos/gen --grpc_python_out=protos/gen \
	  --mypy_out=quiet:protos/gen --mypy_grpc_out=quiet:protos/gen protos/evenface/*/*.proto

protos-check: protos ## Fail if the committed stubs are not those of the .proto files
	@changes=$$(git status --porcelain protos) && test -z "$$changes" || \
	  { echo "error: run 'make protos' and commit what it changes:"; echo "$$changes"; exit 1; }

default-model: $(VENV)/.dev ## Train, export and describe models/faces/1 from DATA=
	$(BIN)/evenface-train faces --run runs/faces \
	  --set "data.faces=$(DATA)/face" --set "data.nonfaces=$(DATA)/nonface" --set "data.labels=$(DATA)/labels.csv"
	$(BIN)/evenface-export runs/faces --out $(OUT) --name faces --version 1 --replace --data-note "$(NOTE)"

clean: ## Remove the virtual environment, caches, runs and demo output
	rm -rf $(VENV) .cache runs demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf clients/node/node_modules clients/node/dist clients/node/build
