"""Decisions of Clonewatch at a gateway: one function, `decide`, over a signed watch list that workers share."""

from clonewatch_gateway.deciding import decide
from clonewatch_gateway.decisions import Decision, Facts
from clonewatch_gateway.following import Follower
from clonewatch_gateway.refusal import Refused
from clonewatch_gateway.watch_list import WatchList

__all__ = ["Decision", "Facts", "Follower", "Refused", "WatchList", "decide"]
__version__ = "0.1.0"
