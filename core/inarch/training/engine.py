"""What a launcher's configuration asks of accelerate: several processes alike (DDP), or weights in shards (FSDP2).

Processes of `accelerate launch --config_file FILE` know the file by environment variables. What it asks for is done by
accelerate alone; what would change what the recipe means, or was never tried, is refused and named by its key there.
"""

import os
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from inarch.errors import RunError

WHERE = "accelerate's configuration"

_REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": (
        "distributed_type: DEEPSPEED",
        "its engine clips, steps and clears the gradients inside the backward pass, before they can be divided by the "
        "targets of all processes. Write distributed_type: FSDP with fsdp_version: 2, which shards as much as ZeRO 3",
    ),
    "ACCELERATE_USE_MEGATRON_LM": (
        "distributed_type: MEGATRON_LM",
        "models are not built for it. Write distributed_type: FSDP with fsdp_version: 2",
    ),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (
        "parallelism_config",
        "models are not cut along tensors or sequences. Leave it out: distributed_type: FSDP cuts the weights",
    ),
    "FSDP_OFFLOAD_PARAMS": (
        "fsdp_offload_params",
        "it was never tried here. Write fsdp_offload_params: false; to save memory, train.gradient_checkpointing=true",
    ),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "fsdp_activation_checkpointing",
        "the backbone knows its blocks. Leave it out, and write train.gradient_checkpointing=true in the recipe",
    ),
    "FSDP_IGNORED_MODULES": ("fsdp_ignored_modules", "gradients of what is not sharded would not be averaged"),
}
_KINDS = ("SHARDED_STATE_DICT", "FULL_STATE_DICT")
_OFF = ("", "no", "false", "0", "none")


def make_accelerator(**options: Any) -> Accelerator:
    """Make the accelerator of this process; RunError if it cannot be what its launcher was asked for."""
    _refuse()
    on_cpu, sharded = not torch.cuda.is_available(), _asks("ACCELERATE_USE_FSDP")
    # every process loads the weights: else transformers would leave them out on all but the first
    plugin = FullyShardedDataParallelPlugin(cpu_ram_efficient_loading=False) if sharded else None
    if plugin is not None and on_cpu:
        _shard_on_cpu(plugin, options)
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no", fsdp_plugin=plugin, **options)
    if sharded and not accelerator.is_fsdp2:
        raise RunError(
            f"{WHERE} asks for distributed_type: FSDP, and this process is in no group; start it by "
            "accelerate launch --config_file FILE -m inarch train RECIPE"
        )
    return accelerator


def refuse_other_precision(precision: str) -> None:
    """Raise if the launcher was told another precision than the run has."""
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if told not in ("no", precision):
        hint = f"write train.precision={told} in the recipe, or " if told in ("bf16", "fp16") else ""
        raise RunError(f"mixed_precision: {told} in {WHERE}, train.precision {precision} here; {hint}"
                       "mixed_precision: 'no' there, for the recipe says it")  # fmt: skip


def saves_shards(accelerator: Accelerator) -> bool:
    """Say whether checkpoints are written in shards (fsdp_state_dict_type: SHARDED_STATE_DICT)."""
    return bool(accelerator.is_fsdp2) and bool(accelerator.state.fsdp_plugin.state_dict_type.name == _KINDS[0])


def _refuse() -> None:
    """Raise if the launcher was asked for something that inarch does not do, or that the recipe says."""
    for name, (key, why) in _REFUSED.items():
        if _asks(name):
            raise RunError(f"{key} in {WHERE}: {why}")
    if os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1").lower() not in ("1", "auto"):
        raise RunError(f"gradient_accumulation_steps in {WHERE}: leave it out; train.batch_size counts the examples "
                       "of a step, and train.micro_batch_size those that a device holds at once")  # fmt: skip
    backend = os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()
    if backend not in _OFF:
        raise RunError(f"dynamo_backend: {backend.upper()} in {WHERE}: leave dynamo_config out, and write "
                       "train.compile=true in the recipe")  # fmt: skip
    if _asks("ACCELERATE_USE_FSDP"):
        version, kind = (
            os.environ.get("FSDP_VERSION", "1"),
            os.environ.get("FSDP_STATE_DICT_TYPE", "SHARDED_STATE_DICT"),
        )
        if version != "2":
            raise RunError(f"fsdp_version: {version} in {WHERE}: write fsdp_version: 2; its shards keep the names and "
                           "the bits of single parameters, which freezing, rates and checkpoints need")  # fmt: skip
        if kind not in _KINDS:
            raise RunError(f"fsdp_state_dict_type: {kind} in {WHERE}: write {' or '.join(_KINDS)}")


def _asks(name: str) -> bool:
    return os.environ.get(name, "").lower() not in _OFF


def _shard_on_cpu(plugin: FullyShardedDataParallelPlugin, options: dict[str, Any]) -> None:
    """Tell accelerate to shard in a group of CPUs too, which it sets aside: it would train whole models, untold."""
    Accelerator(cpu=True, mixed_precision="no", **options)
    state = AcceleratorState()
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, plugin
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
