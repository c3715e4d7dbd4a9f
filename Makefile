# One command checks everything: make check

.PHONY: check lint test format

check: lint test

lint:
	uv run ruff format --check
	uv run ruff check
	uv run mypy
	uv run lint-imports

test:
	uv run pytest

format:
	uv run ruff format
	uv run ruff check --fix
