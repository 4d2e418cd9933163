"""The pages, one module a subject. Each has a `router`, and names the role that a page takes."""
