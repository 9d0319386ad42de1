"""The word at 3 am: a trouble of the night that lasts is told to a person, once."""

from monitor.alerts.watch import Alert, AlertWatch
from monitor.alerts.ways import AlertWays

__all__ = ["Alert", "AlertWatch", "AlertWays"]
