# One command checks everything: make check

.PHONY: check lint test format pictures

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

pictures:
	uv run resnet-tui train --headless --runs-dir build/runs
	uv run python docs/pictures.py build/runs
