"""`python -m shortvox`, which torchrun can start."""

from shortvox.cli import main

if __name__ == "__main__":
    main()
