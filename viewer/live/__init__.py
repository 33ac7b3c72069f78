"""Following a running training.

The training's process opens an endpoint (`LiveEndpoint`, a `TrainObserver`) that answers on the loopback interface; the
server finds it by a file in the scene folder, asks it on behalf of all pages (`LiveRelay`), and passes on to each page
what that page has time for (`live_socket`).

| key type | where |
|---|---|
| `LiveEndpoint`: the training's side | endpoint.py |
| what it answers, and what share of the training's time that may take | answers.py, budget.py |
| `find_training`: the file in the scene folder | address.py |
| messages and the handshake | wire.py |
| `LiveRelay`: one per scene, any number of pages | relay.py, page_client.py |
| a scene page for a scene that is not trained yet | scene.py |
| viser behind our own checks | inspect/ |
"""

from .address import TrainingAddress, find_training
from .endpoint import LiveEndpoint
from .page_client import live_socket
from .relay import LiveRelay
from .scene import live_route, training_scene, with_live

__all__ = [
    "LiveEndpoint",
    "LiveRelay",
    "TrainingAddress",
    "find_training",
    "live_route",
    "live_socket",
    "training_scene",
    "with_live",
]
