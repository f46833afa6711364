"""Files in their published layout to labelled recordings or rasters. One data set a file."""
