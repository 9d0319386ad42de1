"""Checks that this machine is ready for a night, and says what to do if it is not."""

from monitor.doctor.examination import examine

__all__ = ["examine"]
