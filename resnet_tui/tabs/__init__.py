"""The tabs of the run screen, each a panel that draws a part of a run's state."""
