"""The sleep of tonight for other Python apps: `follow`. See monitor/sinks/EVENTS.md.

It needs an event server and no other part of the monitor; no numpy is imported.
"""

from models.contract import Stage
from monitor.client.follow import afollow, follow
from monitor.client.items import Back, Gone, StagedEpoch

__all__ = ["Back", "Gone", "Stage", "StagedEpoch", "afollow", "follow"]
