"""A file to arrays: event cameras' files, arrays, pictures, pickles that are never run. One format a file."""
