"""Languages other programs speak: SGF files, GTP, Gomocup, and our JSON-lines analysis."""
