"""The set-up screen's parts: the table of settings, the configuration being edited, the form, and the preview."""
