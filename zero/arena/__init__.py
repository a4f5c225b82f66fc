"""Who is stronger, and how sure are we: players, matches, tests and ratings."""
