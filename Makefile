# Everything is installed into .venv, and nothing else on the machine changes. `make help` lists the targets.

PYTHON ?= python3

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Named, because Ansible ignores the file in a folder that anybody may write to (/mnt/c under WSL).
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.DEFAULT_GOAL := help
# A .venv that could not be finished is begun anew.
.DELETE_ON_ERROR:
.PHONY: help bench changelog demo faults fidelity lab lab-down lint matrix messages picture release-check sanity test

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST)

demo: lab  ## bring the lab up and migrate its sample database to its sandbox
	ansible-playbook -i .lab/inventory.yml migrate.yml -l sandbox
	@printf '%s\n' 'What to try next, after: source .venv/bin/activate' \
	  '  ansible-playbook -i .lab/inventory.yml migrate.yml -l sandbox             again: nothing is left to do' \
	  '  ansible-playbook -i .lab/inventory.yml playbooks/verify.yml -l sandbox    are both sides equal?' \
	  '  ansible-playbook -i .lab/inventory.yml playbooks/rollback.yml -l sandbox  and back to what was before'

lab: .venv/runtime-installed  ## bring the lab up: two PostgreSQL servers on this machine, and an inventory of them
	ansible-playbook playbooks/lab.yml

lab-down: .venv/runtime-installed  ## stop the lab's servers and remove all that is in .lab
	ansible-playbook playbooks/lab.yml -e lab_state=absent

# One process more than the build server has processors: two leave them idle a tenth of the time.
test: lint  ## run all checks and all tests
	pytest --numprocesses=3 --dist=loadfile

# Without -m, pytest leaves out what `make test` has no time for.
faults: .venv/tests-installed  ## break a migration in every way, at 100 points, and sync 5,000 random tables (docs/faults.md); takes an hour
	$(if $(SEED),FAULTS_SEED=$(SEED)) $(if $(POINTS),FAULTS_POINTS=$(POINTS)) FUZZ_EXAMPLES=250 \
	  pytest --numprocesses=2 tests/faults tests/integration/test_interrupt.py tests/engine/test_sync_fuzz.py -m ''

fidelity: .venv/tests-installed  ## write docs/fidelity.md from the table of kinds that the tests walk
	python -m tests.fidelity

messages: .venv/tests-installed  ## write docs/runbooks/messages.md, the text of each finding, from the code
	python -m tests.messages

picture: .venv/tests-installed  ## draw docs/images/run.svg, what a terminal shows of a run, in a lab of its own
	PYTHONPATH=collections python -m tests.picture

bench: .venv/tests-installed  ## time it against other ways to migrate (bench/README.md); ONLY=incident-far for a part
	PYTHONPATH=collections python -m bench --only='$(ONLY)' $(if $(SCALE),--scale=$(SCALE)) $(if $(ROUNDS),--rounds=$(ROUNDS))

lint: .venv/tests-installed  ## run the checks alone
	ruff check
	ruff format --check
	yamllint --strict .
	ansible-lint
	mypy
	PYTHONPATH=collections lint-imports --no-cache

release-check: sanity matrix changelog  ## run what a release needs beyond the tests; takes 10 minutes
	git diff --exit-code CHANGELOG.md

sanity: .venv/tests-installed  ## check the built collection by ansible-test, and its documentation and changelog
	tests/sanity.sh .release/sanity
	antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck \
	  --validate-collection-refs self --disallow-unknown-collection-refs .
	antsibull-changelog lint

matrix: .venv/tests-installed  ## try the installed collection on every supported ansible-core
	tests/matrix.sh .release/matrix

# Until a version is released, its part is made anew from all of changelogs/fragments.
changelog: .venv/tests-installed  ## make CHANGELOG.md of changelogs/fragments
	rm -f changelogs/changelog.yaml
	antsibull-changelog release --date "$$(date -u +%F)"

.venv/runtime-installed: requirements.txt | .venv/bin/python
	python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/tests-installed: requirements-test.txt requirements.txt | .venv/bin/python
	python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@ .venv/runtime-installed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
