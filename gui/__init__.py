"""The window: play, see what the engine thinks, watch it learn.

It talks to an engine in a child process by the analysis protocol (JSON lines) and computes nothing itself.
"""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
