# The targets of a checkout. `make demo` shows what it is, `make check test` is what the build runs.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DOCS_STAMP := .venv/.installed-docs
EVAL ?=

.PHONY: help setup demo demo-live test check format style types imports golden eval eval-full audit-study lab bench docs site clean

help:
	@echo "make setup   a virtual environment in .venv with everything in it"
	@echo "make demo    a generated log, scanned and scored: demo/scan/report.html"
	@echo "make demo-live   a gateway, a harvest, the decision and its end, in some minutes: demo/live/live.html"
	@echo "make test    all tests"
	@echo "make check   format, style, types, import direction"
	@echo "make golden  rewrite the golden files; read the diff before you keep it"
	@echo "make eval    detection on labelled logs, into docs/evaluation.md (EVAL='--only quiet' for a part)"
	@echo "make eval-full   the same on more and larger logs; hours; resumes where it was stopped"
	@echo "make audit-study   the audit on students trained for it, into docs/audit.md; the transformers need torch"
	@echo "make lab     a small exercise of the policy lab: demo/exercise/exercise.html; minutes; resumes where it was stopped"
	@echo "make bench   speed and memory; takes long, and fills docs/performance.md"
	@echo "make docs    the documentation site, into site/; checks links and names"
	@echo "make clean   remove what the other targets wrote, except .venv"

setup: $(STAMP)

$(STAMP): pyproject.toml packages/gateway/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Clonewatch needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	  echo "Install one and name it: make setup PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --editable 'packages/gateway[check,redis,assertions]'
	$(BIN)/clonewatch warm-up
	@touch $@

demo: $(STAMP)
	@test -f demo/log/scenario.json || { rm -rf demo/log; $(BIN)/clonewatch simulate demo --out demo/log --text; }
	@install -m 600 examples/demo-public.key demo/demo-public.key
	$(BIN)/clonewatch scan demo/log --out demo/scan --key demo/demo-public.key
	$(BIN)/clonewatch evaluate demo/scan demo/log/labels
	@echo
	@echo "The report is at $(CURDIR)/demo/scan/report.html"
	@echo "Ask further: $(BIN)/clonewatch show C0001 --scan demo/scan"
	@echo "Look and decide in a browser: $(BIN)/clonewatch console demo/scan --store demo/cases.db"

demo-live: $(STAMP)
	@$(BIN)/python examples/live/demo.py demo/live

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --continue-on-collection-errors

check: format style types imports

format: $(STAMP)
	$(BIN)/ruff format --check .

style: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

golden: $(STAMP)
	CLONEWATCH_GOLDEN=write $(BIN)/python -m pytest tests/golden tests/contract/test_docs.py tests/path/test_tutorial.py
	@echo "Rewritten. Was every change intended? git diff tests/golden docs"

eval: $(STAMP)
	$(BIN)/python -m evals.run small $(EVAL)

eval-full: $(STAMP)
	$(BIN)/python -m evals.run full $(EVAL)

audit-study: $(STAMP)
	$(BIN)/python -m evals.audit_study

# Exit code 3 is a finding, and no fault of the run.
lab: $(STAMP)
	@$(BIN)/clonewatch lab run examples/playbook.toml --out demo/exercise; code=$$?; test $$code -eq 0 -o $$code -eq 3
	@echo "The page is at $(CURDIR)/demo/exercise/exercise.html"

bench: $(STAMP)
	@for file in $(filter-out benchmarks/page.py benchmarks/at_rate.py,$(wildcard benchmarks/*.py)) $(wildcard benchmarks/page.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

docs: site
	$(BIN)/python -m pytest tests/contract/test_docs.py tests/contract/test_docs_name_commands.py tests/contract/test_site.py
	@echo "The site is at $(CURDIR)/site/index.html"

# Without the tests of the pages, which are among those of `make test`.
site: $(DOCS_STAMP)
	rm -rf build/pages site
	@mkdir -p build/pages/benchmarks
	@cp -R deploy docs examples *.md LICENSE build/pages
	@cp -R benchmarks/*.py benchmarks/results build/pages/benchmarks
	$(BIN)/zensical build --clean --strict
	@rm -rf .cache
	$(BIN)/python .ci/check_site.py site

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean:
	rm -rf demo dist build site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src packages tests evals benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
