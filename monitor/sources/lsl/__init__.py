"""EEG over the Lab Streaming Layer (LSL): streams that other programs send in the local network.

`source` is the `LiveSource`; its `finder` looks for the stream in a thread, `metadata` knows what a
stream says of itself, `stream_clock` places its stamps in time, and `rate` how fast they come.
"""

from monitor.sources.lsl.finder import list_streams
from monitor.sources.lsl.metadata import LslStream
from monitor.sources.lsl.source import LslSource

__all__ = ["LslSource", "LslStream", "list_streams"]
