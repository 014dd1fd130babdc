"""Models: one page a family, built from Hugging Face configurations.

The room exports what its files name in `__all__`, the classes of every family among them.
"""

from .adapters import *
from .config import *
from .families import *
from .outputs import *
from .pretrained import *
from .registry import *
