"""New labelled examples from labelled ones: words are hidden and filled in by a masked LM.

    new = pf.augment("mlm", examples, copies=4)
    pf.finetune("text-classification", "encoder", [*examples, *new], ..., output_dir="out")

`rewriting` hides words and fills them in, `conditioning` teaches a masked language model what
texts of a label are like, and `augment` joins them, drops doubles and asks a classifier.
"""

from .augment import Augmenter, Counts, augment
from .conditioning import learn_labels
from .rewriting import Rewriter

__all__ = ["Augmenter", "Counts", "Rewriter", "augment", "learn_labels"]
