"""CVD2014: 234 videos of 18 scenes, shot by 78 cameras and rated in a laboratory."""
