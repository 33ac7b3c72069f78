"""viser as an inspection panel for researchers, behind our own port and checks.

By itself viser listens on every interface and asks nobody who they are. Here it listens on 127.0.0.1 at a free port and
is reached through `/inspect/`, HTTP and WebSocket, behind the same guard as everything else.
"""

from .panel import InspectionPanel
from .proxy import Inspector, inspect_routes

__all__ = ["InspectionPanel", "Inspector", "inspect_routes"]
