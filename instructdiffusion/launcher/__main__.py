"""`python -m instructdiffusion.launcher`: the same as the command `comfy`, whoever else has taken that name."""

from . import main

raise SystemExit(main())
