"""Others' words for training that none of our arguments stands for.

A word that means the same as an argument stands beside it, in `arguments.py`. Of the rest, values
that ask for nothing, or for what is done anyway, are taken in silence, so that arguments written
for transformers can be handed over whole; any other value is answered with what to write instead.
"""

from __future__ import annotations

from ..options import lacking

_COMPILED = "kernels are compiled already; leave it out"
_CPU = "did you mean device='cpu' or 'cuda'?"
_LOGS = "logs are files: log.jsonl and timing.jsonl in output_dir; leave it out"
_ONE_PROCESS = "training is one process; leave it out"
_RATIO = "did you mean min_lr, a learning rate and not a ratio?"
_SAVES = "did you mean save_strategy='steps' (True) or 'best' (False)?"

LACKING = {
    # Asked for in other words
    **lacking("always_save_checkpoint", instead=_SAVES),
    **lacking("compile torch_compile", False, instead=_COMPILED),
    **lacking("cosine_min_lr_ratio min_lr_ratio", instead=_RATIO),
    **lacking("data_seed", instead="did you mean seed?"),
    **lacking("decay_lr", instead="did you mean lr_scheduler_type='cosine' or 'constant'?"),
    **lacking("deepspeed fsdp", "", [], instead=_ONE_PROCESS),
    **lacking("dtype", "float32", instead="did you mean bf16=True (bfloat16)?"),
    **lacking("eval_iters", instead="an evaluation always covers the whole eval_dataset"),
    **lacking("evals_per_epoch", instead="did you mean eval_strategy='steps' with eval_steps?"),
    **lacking("fp16", False, instead="float16 does not train on a CPU; did you mean bf16=True?"),
    **lacking("init_from", instead="did you mean resume_from_checkpoint=True, or pf.load?"),
    **lacking("local_rank", -1, 0, instead=_ONE_PROCESS),
    **lacking("logging_dir", instead=_LOGS),
    **lacking("logging_strategy", "steps", instead="did you mean logging_steps?"),
    **lacking("lr_decay_iters", instead="the schedule spans all updates; did you mean max_steps?"),
    **lacking("lr_end", instead="did you mean min_lr?"),
    **lacking("no_cuda use_cpu", False, True, instead=_CPU),
    **lacking("saves_per_epoch", instead="did you mean save_strategy='steps' with save_steps?"),
    **lacking("val_set_size", 0, instead="evaluations have data of their own; leave it out"),
    # Not there, or always done
    **lacking(
        """accelerator_config activation_checkpointing_kwargs dataloader_multiprocessing_context
        dataloader_prefetch_factor ddp_backend ddp_bucket_cap_mb eval_accumulation_steps
        fsdp_config gradient_checkpointing_kwargs hub_model_id hub_private_repo hub_revision
        hub_token label_names liger_kernel_config neftune_noise_alpha optim_args
        optim_target_modules parallelism_config run_name torch_compile_backend torch_compile_mode
        torch_empty_cache_steps trackio_bucket_id trackio_space_id trackio_static_space_id"""
    ),
    **lacking(
        """adafactor auto_find_batch_size batch_eval_metrics bf16_full_eval dataloader_drop_last
        dataloader_persistent_workers enable_jit_checkpoint eval_on_start eval_use_gather_object
        fp16_full_eval group_by_length hub_always_push ignore_data_skip
        include_inputs_for_metrics include_tokens_per_second logging_first_step
        prediction_loss_only push_to_hub restore_callback_states_from_checkpoint save_only_model
        tf32 use_cache use_liger_kernel""",
        False,
    ),
    **lacking(
        """average_tokens_across_devices dataloader_pin_memory ddp_broadcast_buffers
        ddp_find_unused_parameters ddp_static_graph do_eval do_predict do_train full_determinism
        log_on_each_node logging_nan_inf_filter save_on_each_node skip_memory_metrics""",
        *(False, True),
    ),
    **lacking("dataloader_in_order eval_do_concat_batches remove_unused_columns", True),
    **lacking("dataloader_num_workers eval_delay", 0),
    **lacking("ddp_timeout", 1800),
    **lacking("debug", "", []),
    **lacking("half_precision_backend", "auto"),
    **lacking("hub_strategy", "every_save"),
    **lacking("include_for_metrics", []),
    **lacking("include_num_input_tokens_seen", False, "no"),
    **lacking("length_column_name", "length"),
    **lacking("log_level log_level_replica", "passive", "warning"),
    **lacking("project", "huggingface"),
    **lacking("save_safetensors", True),
    **lacking("train_sampling_strategy", "random"),
}
