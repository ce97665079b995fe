"""Makes `python -m backstay` the same as `backstay`."""

from backstay.cli import main

if __name__ == "__main__":
    main()
