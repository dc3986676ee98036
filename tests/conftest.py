"""What holds for all tests."""

import os

# No test starts a compiler beside itself, but for those that set this to a folder of their own.
os.environ["TUMBLE_CACHE_DIR"] = ""
