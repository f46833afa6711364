"""What a data set can give, in the words by which `qsnn.options.misfits` tells of it."""

TARGET = "a target raster"
CLASSES = "classes"
MAPS = "maps of pixels"
