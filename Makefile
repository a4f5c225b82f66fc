# make train   learn Connect Four from nothing and play a match at the end
# make test    the fast tests; ORACLES=1 adds PyTorch as a yardstick
# make help    the rest
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    ?= runs/connect4
export PATH := $(abspath $(BIN)):$(PATH)
# An absolute path, so that the rebuild at import works without the environment being activated.
export CYTHON := $(abspath $(BIN))/cython

.PHONY: train test test-slow engines asan lint build clean help
.DELETE_ON_ERROR:

train: build
	$(BIN)/zero train configs/connect4.toml --run $(RUN)

test: $(VENV)/.test $(if $(ORACLES),$(VENV)/.oracles) engines
	$(BIN)/python -m pytest

# Opponents from Debian, where that needs nobody's password; the tests that want them are skipped without.
engines:
	@PATH="$$PATH:/usr/games"; { command -v gnugo && command -v gtp-rhino; } > /dev/null || { [ "$$(id -u)" = 0 ] \
	    && apt-get update --quiet > /dev/null 2>&1 && apt-get install --yes --quiet --no-install-recommends gnugo grhino > /dev/null 2>&1; } \
	    || echo 'gnugo or grhino is not installed: matches against them are skipped (apt-get install gnugo grhino)'

test-slow: $(VENV)/.test $(VENV)/.oracles
	$(BIN)/python -m pytest -m slow

# The compiled parts with AddressSanitizer and LeakSanitizer, in a build of their own: a workload of every game, then
# the tests of rules and search. -S leaves out the editable install, -P the sources beside it; two frames of each
# allocation tell ours from the interpreter's.
ASAN := build/asan
SANITIZED = LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) LSAN_OPTIONS=suppressions=tests/mcts_ext/lsan.supp:print_suppressions=0 \
	    PYTHONPATH="$$(dirname $$(find $(CURDIR)/$(ASAN)/root -type d -name mcts_ext)):$$(echo $(CURDIR)/$(VENV)/lib/python*/site-packages)"
asan: $(VENV)/.test
	test -f $(ASAN)/build.ninja || $(BIN)/meson setup $(ASAN) -Dbuildtype=debugoptimized -Db_sanitize=address \
	    -Db_lundef=false -Dpython.install_env=venv --native-file build/cp*/meson-python-native-file.ini
	$(BIN)/meson install -C $(ASAN) --quiet --destdir root
	$(SANITIZED) ASAN_OPTIONS=malloc_context_size=2 $(BIN)/python -S tests/mcts_ext/sanitize.py
	$(SANITIZED) ASAN_OPTIONS=detect_leaks=0 $(BIN)/python -S -P -m pytest --quiet --capture=no -p no:cacheprovider \
	    tests/mcts_ext --ignore tests/mcts_ext/test_game_openspiel.py

lint: $(VENV)/.test
	$(BIN)/ruff check .

build: $(VENV)/.build

# An editable install: Python files are used where they lie, compiled parts are
# rebuilt by the import itself when their sources changed.
$(VENV)/.build: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > $(VENV)/build-requires.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r $(VENV)/build-requires.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable .
	touch $@

$(VENV)/.test: $(VENV)/.build
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[dev]'
	touch $@

$(VENV)/.oracles: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[oracles]'
	touch $@

clean:
	rm -rf build $(VENV)

help:
	@sed -n 's/^# make/make/p' $(MAKEFILE_LIST)
	@echo 'make test-slow   the tests that take minutes'
	@echo 'make asan        every game and search under AddressSanitizer and LeakSanitizer'
	@echo 'make lint        ruff'
