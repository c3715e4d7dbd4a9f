"""The dashboard in a browser: ``server`` serves a page to this machine alone, ``page`` is the dashboard behind it."""
