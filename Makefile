# nightreel's commands. CI (.ci/run) runs these very targets; infra/setup.sh makes the .venv that they use.
#
#   make demo PYTHON=python3.12     which interpreter .venv is made with (3.11 to 3.13; found by itself otherwise)
#   make test ARGS="-k camera -x"   further arguments for pytest (ARGS="-n 0 --pdb": in one process)
#   make chaos FAULTS=50 SEED=7     fewer faults, and others
#   make lock UPGRADE=1             newest versions, instead of the fewest changes

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

BIN := .venv/bin
# := and not ?=, so that only the command line sets these, never a stray variable of the same name in the environment.
OUTPUT := out
ARGS :=
FAULTS := 500
SEED := 1
MINUTES := 10
TARGETS :=
FOLDER :=
UPGRADE :=

# A torch, or a plugin of pytest, must never come from a folder outside .venv.
unexport PYTHONPATH PYTHONHOME

.PHONY: help setup demo gallery test test-minutes test-cluster test-long test-wheel test-image chaos fuzz coverage lint types imports check docs deployments lock bench browser clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Make .venv with everything for work on nightreel (again only after the lock has changed)
	@infra/setup.sh dev

demo: ## Render manifests/demo.parquet into out/ and say where to look (OUTPUT=another folder)
	@infra/setup.sh runtime
	@$(BIN)/nightreel render manifests/demo.parquet --output "$(OUTPUT)"; status=$$?; \
	 echo; for file in "$(OUTPUT)"/*/video.*; do [ -e "$$file" ] && echo "  result  $$file"; done; \
	 [ -e "$(OUTPUT)/report/index.html" ] && echo "  report  $(OUTPUT)/report/index.html (open it in a browser)"; \
	 exit $$status

gallery: ## Render manifests/gallery.yaml, a row or two for each thing that a row can say, into gallery/ and say where to look
	@infra/setup.sh runtime
	@mkdir -p build && $(BIN)/nightreel manifest build manifests/gallery.yaml -o build/gallery.parquet
	@$(BIN)/nightreel render build/gallery.parquet --output gallery; status=$$?; \
	 echo; echo "  page    gallery/report/index.html (open it in a browser)"; exit $$status

# One thread for each process of torch: two processes with two each wait for each other on two cores.
test test-minutes test-cluster test-long: export OMP_NUM_THREADS := 1
# First two files at a time, then, one by one, what wants the machine to itself. Status 5: ARGS chose none of these.
test: setup ## Run all tests but those that take half a minute and more each
	@infra/setup.sh browser --unasked
	@infra/setup.sh promtool --unasked
	@infra/setup.sh kubectl --unasked
	@first=0; second=0; \
	 $(BIN)/pytest -m "not (slow or minutes or cluster or alone)" -n 2 --dist loadfile $(ARGS) || first=$$?; \
	 $(BIN)/pytest -m "alone and not (slow or minutes or cluster)" $(ARGS) || second=$$?; \
	 [ $$first -eq 0 ] || [ $$first -eq 5 ] || exit $$first; [ $$second -eq 0 ] || [ $$second -eq 5 ] || exit $$second

test-minutes: setup ## Run those that take half a minute and more; CI does, after `make test`
	$(BIN)/pytest -m "minutes and not (slow or cluster)" $(ARGS)

test-cluster: setup ## Run those on several hosts, minutes each; Linux, by root (network namespaces)
	$(BIN)/pytest -m cluster $(ARGS)

test-long: setup ## Run the slow ones: nights, crashes, a fine-tuning from end to end
	@infra/setup.sh browser --unasked
	$(BIN)/pytest -m slow $(ARGS)

test-wheel: setup ## Install the wheel with the newest dependencies admitted, elsewhere, and render, schedule, doctor with it
	$(BIN)/python -m tests.end_to_end.wheel

test-image: setup ## Build our image with buildah and render in it (root, Debian's buildah and mmdebstrap, 40 GB; FOLDER=/var/tmp)
	$(BIN)/python -m tests.end_to_end.image $(FOLDER)

chaos: setup ## Render while 500 seeded faults strike, 40 minutes of 2 idle cores; result in infra/docs/chaos.md
	$(BIN)/python -m tests.chaos --faults $(FAULTS) --seed $(SEED) --record infra/docs/chaos.md

fuzz: setup ## Fuzz whatever reads strangers' bytes for MINUTES=10, or hours; findings in test-output/fuzz (TARGETS="yaml row")
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(TARGETS)

coverage: setup ## The unit tests, and how much of the four packages they run
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)
	@echo; echo "The unit tests run $$($(BIN)/coverage report --format=total) % of the lines and branches of the four packages."

lint: setup ## ruff, and its format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, over the four packages
	$(BIN)/mypy

imports: setup ## The import rules of pyproject.toml: who may import whom, and who owns which dependency
	$(BIN)/lint-imports

check: lint types imports ## lint, types and imports

docs: setup ## Write the reference pages of infra/docs again, from what they describe
	@$(BIN)/python -c "from flows.cli.reference import write; write()"

deployments: setup ## Write infra/prefect.yaml and infra/work_pools from flows/orchestration/{deployments,job_templates}.py
	@$(BIN)/python -m flows.orchestration.deployment_file infra

lock: ## Write requirements*.lock again from pyproject.toml (exact versions, no addresses; UPGRADE=1)
	@infra/setup.sh lock $(if $(UPGRADE),--upgrade)

bench: setup ## Measure: seconds per step, and the flow's overhead (tests/benchmarks/bench_*.py)
	$(BIN)/pytest tests/benchmarks -o python_files="bench_*.py" -o timeout=0 -s $(ARGS)

browser: ## Install Debian's chromium for the browser tests (needs root or sudo)
	@infra/setup.sh browser

clean: ## Remove caches and test output; .venv and what was rendered stay
	rm -rf build dist test-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find manifests renderers infra flows tests -type d -name __pycache__ -prune -exec rm -rf {} +
