"""Live nights: a thread for each sleeper; one event server and one screen for all sleepers."""

from monitor.live.checking import run_check
from monitor.live.run import run_live

__all__ = ["run_check", "run_live"]
