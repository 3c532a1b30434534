# Every target sets up what it needs. "make help" lists them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
IMAGE ?= wmhseg
GPU ?= 0
SLIM ?= 0
SECONDS ?= 300
INPUTS ?=
SEED ?= 0
START ?= 0
DATA ?=
BUILT ?=
BENCH ?=
MODELS ?=
EVALUATE ?=
TRAIN ?=
LABELS ?= $(SHARED)/data/labels
OUT ?= build
# Real scans for validation; not part of the project. Without them the checks that need them skip.
SHARED ?= $(or $(WMHSEG_SHARED),../shared)
CASES := $(wildcard $(SHARED)/data/cases)
# All scans with thick slices. Those with thin ones take two minutes each on a slow machine: they
# would make the gate longer and not sharper.
GATE = tabriz-*
# Processes that share the tests, up to 3 GB each; one more than processors, as some tests wait. Each
# takes a whole file at a time, in order, so that what a file makes for its tests is made once.
WORKERS ?= 3
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 20
# TensorFlow's log lines say nothing that a test looks at.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup setup-run demo test browser slurm first-hour test-avx2 lint docs evaluate train bench \
	measure-code docker docker-test docker-limits fuzz package release package-test resolve-arm64 \
	apptainer-test sbom release-notes audit clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two environments in one folder: what runs (pinned as in the image), and what tests need on top.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed. Received: {sys.version.split()[0]}. Say make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt install python3-venv"; exit 1; }

$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-dev.txt
	@touch $@

setup-run: $(VENV)/.run

setup: $(VENV)/.dev ## virtual environment in .venv with everything

demo: $(VENV)/.run ## segment the synthetic case that comes with the package, with a picture
	$(BIN)/wmhseg demo --output $(OUT)/demo
	@echo
	@echo "The picture, to look at:  $(OUT)/demo/output/overlay.png  (docs/picture.md says how)"
	@echo "The mask and the numbers: $(OUT)/demo/output/result.nii.gz and result.json"
	@echo "Next, your own scans:     . $(VENV)/bin/activate"
	@echo "                          wmhseg segment --flair FLAIR.nii.gz --t1 T1.nii.gz --output wmh.nii.gz"

lint: $(VENV)/.dev ## ruff, formatting, types, Dockerfile, shell scripts and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck wmhseg/data/entrypoint.sh .ci/run tests/first_hour.sh
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/actionlint .github/workflows/*.yml
	$(BIN)/zizmor --offline --no-progress --quiet --min-severity medium .github

# Every warning is an error, and every link that leads nowhere a warning.
docs: $(VENV)/.dev ## the docs site, in build/site
	$(BIN)/python -m docs.site.build --output $(OUT)/site

# Before the packages that tests need are installed beside those of the demo.
first-hour: ## what the README says, in its order and in fresh environments, and what comes of it
	tests/first_hour.sh

# The first two fetch and unpack most of the time, so they go side by side; linters take one
# processor, and containers not always two.
test: ## everything that CI runs
	$(MAKE) --jobs 2 --output-sync=target first-hour image-to-test
	$(MAKE) $(VENV)/.dev
	$(MAKE) --jobs 2 --output-sync=target lint docker-test BUILT=1
	$(MAKE) test-avx2
	@$(MAKE) --no-print-directory browser slurm
	$(PYTEST)

# Tests of pages need one; where none can be had they skip, and say so.
browser: ## Chromium for the tests of pages: in CI on Debian it is installed
	@command -v chromium >/dev/null || test -z "$(CI)" || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
		>/dev/null 2>&1 || echo "no Chromium: the tests of pages in a browser will skip"

# Tests of jobs start one of their own; where none can be had they skip, and say so.
slurm: ## SLURM for the tests of jobs: in CI on Debian it is installed
	@command -v sbatch >/dev/null || test -z "$(CI)" || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			munge slurmctld slurmd slurm-client; } \
		>/dev/null 2>&1 || echo "no SLURM: the tests of jobs on a node will skip"

# What computes, on a processor held to what nearly all have. Libraries read this at their start, but
# ask the processor itself whether it has bfloat16, so that is left out.
test-avx2: $(VENV)/.dev ## the tests of engines and networks with AVX2 at most
	@if grep -qw avx512f /proc/cpuinfo; then ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) tests/engines tests/networks \
		-m "not asks_the_processor and not any_processor"; \
	else echo "with AVX2 at most: skipped, as all tests of this processor without AVX-512 are such"; fi

evaluate: $(VENV)/.dev ## segment and score the cases of DATA=DIR (default: the synthetic case)
	$(BIN)/python -m evaluation.run $(if $(DATA),--data $(DATA)) --output $(OUT)/evaluation \
		$(if $(MODELS),--models $(MODELS)) $(EVALUATE)

train: $(VENV)/.dev ## train on the scans of DATA=DIR, or on synthetic ones from LABELS=DIR (goes on where it stopped)
	$(BIN)/wmhseg train $(if $(DATA),--data $(DATA),--labels $(LABELS)) --output $(OUT)/train $(TRAIN)

bench: $(VENV)/.dev ## time all engines against the naive Keras way, and every model (BENCH=--quick: a smoke test)
	$(BIN)/python -m benchmarks.speed $(BENCH)
	$(BIN)/python -m benchmarks.end_to_end --runs $(if $(findstring quick,$(BENCH)),1,3)
	@echo "a batch against single runs: $(BIN)/python -m benchmarks.batch"

# Which list of packages the image gets.
VARIANT = $(if $(filter 1,$(GPU)),--build-arg REQUIREMENTS=requirements-gpu.txt --max-gb 9) \
	$(if $(filter 1,$(SLIM)),--build-arg REQUIREMENTS=requirements-slim.txt \
		--build-arg MODELS=default --max-gb 1.0)

measure-code: $(VENV)/.dev ## sizes of modules and functions, docstrings, tests (docs/design.md)
	$(BIN)/python -m benchmarks.code
	$(BIN)/python -m benchmarks.wings

docker: ## build the image IMAGE=wmhseg (GPU=1 for CUDA, SLIM=1 without TensorFlow)
	$(PYTHON) tests/container/check_image.py --build-only --image $(IMAGE) $(VARIANT)

.PHONY: image-to-test
image-to-test:
	$(PYTHON) tests/container/check_image.py --build-only $(if $(CI),,--optional) $(VARIANT)

# BUILT=1: the image is there. A second build is not for nothing: it takes a minute.
docker-test: $(VENV)/.dev $(if $(BUILT),,image-to-test) ## build the image, run cases both ways, compare with runs outside
	@rm -rf $(OUT)/container
	$(BIN)/python tests/container/check_image.py --no-build $(if $(CI),,--optional) $(VARIANT) \
		$(if $(CASES),--cases $(CASES) $(foreach one,$(GATE),--only '$(one)') --results $(OUT)/container)
	@$(if $(CASES),$(MAKE) --no-print-directory bars,echo "real cases: skipped, there is no $(SHARED)/data/cases")

# The real cases as the container segmented them, scored and held against the project's bars.
.PHONY: bars
bars: $(VENV)/.dev
	@test -d $(OUT)/container || { echo "bars: skipped, no container engine has run the cases"; exit 0; } \
		&& $(BIN)/wmhseg evaluate --quiet --data $(CASES) --results $(OUT)/container \
			$(foreach one,$(GATE),--only 'case=$(one)') \
			--output $(OUT)/container-scores --no-plots --force \
		&& $(BIN)/python -m evaluation.bars $(OUT)/container-scores/metrics.csv

docker-limits: $(VENV)/.dev ## build and check the image, and segment the largest scans in 3 GB
	$(BIN)/python tests/container/check_image.py --largest $(if $(CI),,--optional)

apptainer-test: ## carry out the Apptainer definition as an ordinary user, and run what comes of it
	$(PYTHON) tests/container/check_apptainer.py $(if $(CI),,--optional)

fuzz: $(VENV)/.dev ## feed damaged files to their readers, INPUTS=N or for SECONDS=300, then kill runs, and change files in ways that mean nothing
	PYTHONPATH=.:tests nice -n 10 $(BIN)/python -m fuzzing --seed $(SEED) --start $(START) \
		$(if $(INPUTS),--inputs $(INPUTS),--seconds $(SECONDS)) --report $(OUT)/fuzz/report.json
	nice -n 10 $(BIN)/python tests/fuzz_kills.py --kills 12
	nice -n 10 $(BIN)/python -m evaluation.semantic_fuzz --chains 25

# Tools that read the requirement files only: an environment of their own, fetched when needed.
$(VENV)-tools/.made: tests/supply/requirements.txt tests/supply/release.txt
	@$(PYTHON) -m venv $(VENV)-tools
	$(VENV)-tools/bin/pip install --quiet --disable-pip-version-check $(addprefix --requirement ,$^)
	@touch $@

package: $(VENV)-tools/.made ## wheel and source archive, looked over as registries do, in build/release
	@rm -rf $(OUT)/release && mkdir -p $(OUT)/release
	PIP_CONSTRAINT=tests/supply/release.txt $(VENV)-tools/bin/python -m build --outdir $(OUT)/release .
	$(VENV)-tools/bin/twine check --strict $(OUT)/release/*.whl $(OUT)/release/*.tar.gz
	$(VENV)-tools/bin/check-wheel-contents $(OUT)/release/*.whl

release: package sbom setup-run ## all files of a release, with their checksums, in build/release
	$(BIN)/python -m wmhseg.fetching.pack --models models --output $(OUT)/release
	cp $(OUT)/sbom.json $(OUT)/sbom-slim.json $(OUT)/sbom-gpu.json wmhseg/data/boutiques.json \
		containers/Apptainer.def containers/neurodesk.yaml $(OUT)/release
	cd $(OUT)/release && rm -f SHA256SUMS && sha256sum * > SHA256SUMS.part && mv SHA256SUMS.part SHA256SUMS

package-test: package ## install what package has made in every Python from 3.11 to 3.13 that is here, and run it
	$(PYTHON) tests/supply/try_packages.py $(OUT)/release

resolve-arm64: $(VENV)/.dev ## which packages of the images exist for 64-bit ARM (needs network)
	$(BIN)/python tests/supply/resolve_arm64.py

sbom: $(VENV)-tools/.made ## software bill of materials of each image (CycloneDX JSON)
	@mkdir -p $(OUT)
	for kind in "" -slim -gpu; do $(VENV)-tools/bin/cyclonedx-py requirements requirements$$kind.txt \
		--pyproject pyproject.toml --output-reproducible --of JSON --output-file $(OUT)/sbom$$kind.json \
		|| exit 1; done
	@ls $(OUT)/sbom.json $(OUT)/sbom-slim.json $(OUT)/sbom-gpu.json

# What a tag such as v0.2.0 releases, as .github/workflows/release.yml does.
TAG ?=
release-notes: ## check that TAG=v1.2.3 is this version, and write what the changelog says of it
	$(PYTHON) tests/supply/release_notes.py "$(TAG)" --output $(OUT)/release-notes.md

audit: $(VENV)-tools/.made ## look the pinned packages up in a database of vulnerabilities (needs network)
	$(VENV)-tools/bin/python tests/supply/audit.py requirements.txt requirements-slim.txt requirements-gpu.txt requirements-dev.txt

clean: ## remove what the other targets made
	rm -rf $(OUT) $(VENV) $(VENV)-tools .pytest_cache .ruff_cache .mypy_cache .hypothesis
