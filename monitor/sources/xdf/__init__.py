"""XDF files of LabRecorder."""
