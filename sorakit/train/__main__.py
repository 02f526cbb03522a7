"""`python -m sorakit.train`: the command `sorakit train`, as a module that launchers can start.

For example `accelerate launch --num_processes 2 -m sorakit.train --recipe tiny --out runs/two --steps 20
--set accumulate=2 --set batch=4`.
"""

import sys

import typer

from sorakit.cli.train import train
from sorakit.cli.ui import print_error
from sorakit.errors import SorakitError

if __name__ == "__main__":
    try:
        typer.run(train)
    except SorakitError as error:
        print_error(error)
        sys.exit(error.exit_code)
