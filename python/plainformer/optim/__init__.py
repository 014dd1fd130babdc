"""Optimizers, learning rate schedules and clipping, under torch's and transformers' names.

    optimizer = pf.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = pf.optim.get_scheduler("linear", optimizer, num_training_steps=100)
    for batch in batches:
        model(**batch).loss.backward()
        pf.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()

`Trainer` trains with these.
"""

from .adamw import AdamW
from .clip import clip_grad_norm_
from .lr_scheduler import LambdaLR, get_scheduler
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "AdamW", "LambdaLR", "Optimizer", "clip_grad_norm_", "get_scheduler"]
