"""python -m experiments.speed"""

from experiments.speed.command import main

if __name__ == "__main__":
    main()
