"""These programs import each other by plain names, and some run in an environment of their own."""

collect_ignore_glob = ["[!t]*.py"]
