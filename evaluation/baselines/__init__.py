"""Contenders without deep learning, to measure networks against.

``threshold`` is the plainest, ``forest`` a random forest on the hand-made ``features``. Both take
a ``placed_scan``: one registered to the average brain by ``wmhseg.channels.placement``. They learn
from synthetic scans, in ``learning``; ``contenders`` makes both ready to take part in
``evaluation.run``.
"""
