"""`python -m instructdiffusion`: the same as the command `instructdiffusion`."""

from .cli import main

raise SystemExit(main())
