"""Turn a trained model folder into the one that ships: python training/ship.py --model runs/tiny-7-even/model"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instructdiffusion.models.shipping import ship

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="a model folder that training exported")
    parser.add_argument("--output", type=Path, default=Path("instructdiffusion/assets/tiny"))
    parser.add_argument(
        "--settings", type=Path, help="an instructdiffusion.json with the defaults of each task"
    )
    parser.add_argument(
        "--vae",
        type=Path,
        help="an autoencoder's folder to take instead of the model's own, as configs/tiny-13-decoder.yaml trains one",
    )
    arguments = parser.parse_args()
    size = ship(arguments.model, arguments.output, arguments.settings, arguments.vae)
    print(f"{arguments.output}: {size / 1e6:.1f} MB")
