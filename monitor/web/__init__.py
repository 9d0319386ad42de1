"""The page for the phone and its API: tonight, marks, nights before. WEB.md describes it.

It runs in a process of its own, beside the monitor. It reads what the monitor publishes, and leaves
marks as any other app does. So whatever happens here, no epoch of the night waits for it.
"""
