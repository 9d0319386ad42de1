"""EEG over the Lab Streaming Layer (LSL): streams that other programs send in the local network."""

from monitor.sources.lsl.source import LslSource, LslStream, list_streams

__all__ = ["LslSource", "LslStream", "list_streams"]
