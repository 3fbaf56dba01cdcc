"""From files to rows, and from rows to packed tokens."""
