"""The sample data set: real clips, degraded by ffmpeg and labelled by VMAF, a metric, not by people."""
