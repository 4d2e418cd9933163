"""The actions, each in one file that ends with `ACTION`; a file's name is the name that watch lists use."""
