"""EEG over the Lab Streaming Layer (LSL): streams that other programs send in the local network.

`source` is the `LiveSource`. Its thread, `finder`, looks for the stream by its properties
(`matching`) and opens it (`joining`). `metadata` reads a stream's description, `rate` measures how
fast samples come, and `stream_clock` places their stamps in time. `listing` lists all streams.
"""

from monitor.sources.lsl.listing import list_streams
from monitor.sources.lsl.metadata import LslStream
from monitor.sources.lsl.source import LslSource

__all__ = ["LslSource", "LslStream", "list_streams"]
