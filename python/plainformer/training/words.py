"""Others' words for training that none of our arguments stands for.

A word that means the same as an argument stands beside it, in `arguments.py`. Of the rest, values
that ask for nothing, or for what is done anyway, are taken in silence, so that arguments written
for transformers can be handed over whole; any other value is answered with what to write instead.
"""

from __future__ import annotations

from typing import Any

from ..options import Lacking

_NOTHING: dict[str, tuple[Any, ...]] = {  # beside None
    **dict.fromkeys(
        """accelerator_config activation_checkpointing_kwargs always_save_checkpoint
        cosine_min_lr_ratio data_seed dataloader_multiprocessing_context
        dataloader_prefetch_factor ddp_backend ddp_bucket_cap_mb decay_lr deepspeed
        eval_accumulation_steps eval_iters evals_per_epoch fsdp_config
        gradient_checkpointing_kwargs hub_model_id hub_private_repo hub_revision hub_token
        init_from label_names liger_kernel_config logging_dir lr_decay_iters lr_end min_lr_ratio
        neftune_noise_alpha optim_args optim_target_modules parallelism_config run_name
        saves_per_epoch torch_compile_backend torch_compile_mode torch_empty_cache_steps
        trackio_bucket_id trackio_space_id trackio_static_space_id""".split(),  # noqa: SIM905
        (),
    ),
    **dict.fromkeys(
        """adafactor auto_find_batch_size batch_eval_metrics bf16_full_eval compile
        dataloader_drop_last dataloader_persistent_workers enable_jit_checkpoint eval_on_start
        eval_use_gather_object fp16 fp16_full_eval group_by_length hub_always_push
        ignore_data_skip include_inputs_for_metrics include_tokens_per_second logging_first_step
        prediction_loss_only push_to_hub restore_callback_states_from_checkpoint save_only_model
        tf32 torch_compile use_cache use_liger_kernel""".split(),  # noqa: SIM905
        (False,),
    ),
    **dict.fromkeys(
        """average_tokens_across_devices dataloader_pin_memory ddp_broadcast_buffers
        ddp_find_unused_parameters ddp_static_graph do_eval do_predict do_train full_determinism
        log_on_each_node logging_nan_inf_filter no_cuda save_on_each_node skip_memory_metrics
        use_cpu""".split(),  # noqa: SIM905
        (False, True),
    ),
    "dataloader_in_order": (True,),
    "dataloader_num_workers": (0,),
    "ddp_timeout": (1800,),
    "debug": ("", []),
    "dtype": ("float32",),
    "eval_delay": (0,),
    "eval_do_concat_batches": (True,),
    "fsdp": ("", []),
    "half_precision_backend": ("auto",),
    "hub_strategy": ("every_save",),
    "include_for_metrics": ([],),
    "include_num_input_tokens_seen": (False, "no"),
    "length_column_name": ("length",),
    "local_rank": (-1, 0),
    "log_level": ("passive",),
    "log_level_replica": ("warning",),
    "logging_strategy": ("steps",),
    "project": ("huggingface",),
    "remove_unused_columns": (True,),
    "save_safetensors": (True,),
    "train_sampling_strategy": ("random",),
    "val_set_size": (0,),
}
_COMPILED = "kernels are compiled already; leave it out"
_CPU = "training runs on the CPU; leave it out"
_LOGS = "logs are files: log.jsonl and timing.jsonl in output_dir; leave it out"
_ONE_PROCESS = "training is one process; leave it out"
_RATIO = "did you mean min_lr, a learning rate and not a ratio?"
_INSTEAD: dict[str, str] = {
    "always_save_checkpoint": "did you mean save_strategy='steps' (True) or 'best' (False)?",
    "compile": _COMPILED,
    "cosine_min_lr_ratio": _RATIO,
    "data_seed": "did you mean seed?",
    "dataloader_num_workers": "batches are made when they are needed; leave it out",
    "decay_lr": "did you mean lr_scheduler_type='cosine' (True) or 'constant' (False)?",
    "deepspeed": _ONE_PROCESS,
    "dtype": "did you mean bf16=True (bfloat16) or bf16=False (float32)?",
    "eval_iters": "an evaluation always covers the whole eval_dataset; leave it out",
    "evals_per_epoch": "did you mean eval_strategy='steps' with eval_steps?",
    "fp16": "float16 does not train on a CPU; did you mean bf16=True?",
    "fsdp": _ONE_PROCESS,
    "init_from": "did you mean resume_from_checkpoint=True, or from_pretrained for the model?",
    "local_rank": _ONE_PROCESS,
    "logging_dir": _LOGS,
    "logging_strategy": "did you mean logging_steps?",
    "lr_decay_iters": "the schedule always spans all updates; did you mean max_steps?",
    "lr_end": "did you mean min_lr?",
    "min_lr_ratio": _RATIO,
    "no_cuda": _CPU,
    "saves_per_epoch": "did you mean save_strategy='steps' with save_steps?",
    "torch_compile": _COMPILED,
    "use_cpu": _CPU,
    "val_set_size": "did you mean the eval_dataset of Trainer?",
}
LACKING = {name: Lacking(nothing, _INSTEAD.get(name, "leave it out"))
           for name, nothing in _NOTHING.items()}  # fmt: skip
