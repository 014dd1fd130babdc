"""The list of models, a line a family: what its page has in `__all__`.

The registry, what `plainformer.models` and `plainformer` export and what type checkers see derive
from it: a class finds its family by `config_class` and says by `model_task` what it is for.
"""

from .albert import *
from .bart import *
from .bert import *
from .deberta_v2 import *
from .distilbert import *
from .electra import *
from .gemma2 import *
from .gemma3_text import *
from .gpt2 import *
from .llama import *
from .marian import *
from .mistral import *
from .modernbert import *
from .mpnet import *
from .phi3 import *
from .qwen2 import *
from .qwen3 import *
from .roberta import *
from .t5 import *
from .transformer import *
from .xlm_roberta import *
