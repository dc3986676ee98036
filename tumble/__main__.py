"""``python -m tumble``: the command line."""

from tumble.cli import main

if __name__ == "__main__":
    main()
