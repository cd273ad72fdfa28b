"""No head: what a model has that was published as an encoder alone."""

from __future__ import annotations

from shortvox.heads.head import Head


class NoHead(Head):
    """Without rows or parameters, and without a loss: a training gives its model a new head."""

    rows = ()
