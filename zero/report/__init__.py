"""HTML pages that need nothing but a browser: the report of a run and the review of a game."""
