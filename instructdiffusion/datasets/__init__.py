"""Records (a picture, what is asked, the true answer), where they come from and how they are mixed."""

from .mixture import Mixture
from .records import Example, Record, join

__all__ = ["Example", "Mixture", "Record", "join"]
