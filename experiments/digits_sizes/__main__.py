"""python -m experiments.digits_sizes"""

from experiments.digits_sizes.command import main

if __name__ == "__main__":
    main()
