"""The datasets: where they come from (``sources``), how they are split, and fed to training (``pipeline``).

Imports nothing, so that what only looks facts up (``facts``, ``published``) stays light.
"""
