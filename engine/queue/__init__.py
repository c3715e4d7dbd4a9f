"""Runs that wait for their turn, and working them off one at a time a device. Imports no torch.

``file`` keeps them, ``standing`` says how each stands, ``work`` works them off with ``one`` as the process of each,
``campaign`` is a set of runs that a command wants done, those included that were done before.
"""
