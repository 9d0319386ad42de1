"""Live nights: a thread for each sleeper; one event server and one screen for all of them."""

from monitor.live.run import run_live

__all__ = ["run_live"]
