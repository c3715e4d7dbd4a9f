"""Reports of runs: what they say, and how that is written for a terminal, as Markdown, HTML and JSON."""
