"""What is known of a run and where it comes from: its process, its log, its state. No widgets."""
