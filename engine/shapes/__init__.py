"""The shape table: what comes out of every operation of a network, why, and what it costs.

``trace`` runs a network without weights and gives a ``table.ShapeTable``; ``groups`` rolls its rows up to blocks and
stages; ``formula`` and ``explain`` word them. All but ``trace`` work on rows alone and import no torch.
"""
