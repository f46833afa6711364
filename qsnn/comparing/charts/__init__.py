"""Charts as lists of shapes, which become SVG in a page and PNG in a file."""
