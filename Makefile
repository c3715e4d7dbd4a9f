# One command checks everything: make check

.PHONY: check lint test promises format docs screenshots benchmarks

check: lint test

lint:
	uv run ruff format --check
	uv run ruff check
	uv run mypy
	uv run lint-imports

test:
	uv run pytest

promises:
	uv run pytest --thorough tests/promises
	uv run python tests/promises/break_it.py

format:
	uv run ruff format
	uv run ruff check --fix

docs:
	uv run python -m docs.reference

screenshots:
	uv run python docs/screenshots.py

benchmarks:
	for script in first_frame start_up shape_preview event_flood open_large_run quit_time dashboard_cost growth throughput; do \
		echo "== $$script"; PYTHONPATH=tests uv run python benchmarks/$$script.py || exit 1; \
	done
