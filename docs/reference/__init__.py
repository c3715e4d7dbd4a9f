"""Writes the parts of these pages that come from the program itself: ``make docs``."""
