"""`python -m browsergo.cli` is the `browsergo` command."""

from browsergo.cli.main import main

if __name__ == "__main__":
    main()
