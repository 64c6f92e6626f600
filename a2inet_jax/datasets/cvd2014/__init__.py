"""CVD2014: 234 videos of few scenes, shot by 78 cameras, rated in a laboratory."""
