"""The evidence behind the console's pages: page models made from a result folder, without a web framework."""
