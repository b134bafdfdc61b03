"""What the hardware needs to be fast, in one place. Each lever keeps results equal within the tolerance it states.

`prepare_process` and `prepare_model` return the names of the levers in use, which the run's environment records.
Gains were measured on two cores with EfficientNet-Lite0 and MiniLM-L6; see `benchmarks/`.
"""

import ctypes
import platform
from typing import Any

import torch
from torch import nn

from inarch.training import depthwise, linear

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def prepare_process(device: torch.device) -> list[str]:
    """Keep freed memory for the next step instead of returning it to the system: same bits, fewer page faults."""
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc":
        return []
    libc = ctypes.CDLL("libc.so.6")
    kept = libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    return ["malloc keeps freed blocks"] if kept else []


def choose_precision(device: torch.device, wanted: str) -> str:
    """Return `fp32`, `bf16` or `fp16`: `auto` is bf16 where the processor is faster in it, else fp32.

    Instructions for bf16 are not enough: with AVX-512 BF16 an AMD (Zen 5) is faster, but on an Intel Xeon without AMX a
    linear layer of 1,600 x 384 by 1,536, there and back, takes 1.6 times as long as in fp32 (torch 2.11, one thread).
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    amx, avx = torch.cpu._is_amx_tile_supported(), torch.cpu._is_avx512_bf16_supported()
    return "bf16" if device.type == "cpu" and (amx or (avx and linear.is_amd())) else "fp32"


def prepare_model(model: nn.Module, device: torch.device, precision: str) -> list[str]:
    """Put convolutions and linear layers into the form, the memory format and the precision in which they are fast.

    Channels-last: losses within 1e-4 relative of the default format. Depthwise convolutions in fp32 under bf16 on a
    CPU: more exact than bf16, and faster, for they have no fast bf16 kernel there.
    Gradients of depthwise convolutions by groups: see `depthwise`. Linear layers in fp32 through oneDNN: see `linear`.
    """
    levers = []
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if convolutions:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        levers.append("channels-last")
    slow = [conv for conv in convolutions if depthwise.fits(conv)]
    if slow and device.type == "cpu":
        for convolution in slow:
            convolution.forward = depthwise.Convolution(convolution)  # type: ignore[method-assign,assignment]
        levers.append("gradient of 5 x 5 depthwise convolutions by groups")
    each_channel = [conv for conv in convolutions if conv.groups == conv.in_channels > 1]
    if each_channel and device.type == "cpu" and precision == "bf16":
        for convolution in each_channel:
            convolution.forward = _InFloat32(convolution.forward)  # type: ignore[method-assign,assignment]
        levers.append("depthwise convolutions in fp32")
    linears = [module for module in model.modules() if linear.fits(module)]
    if linears and device.type == "cpu" and linear.is_faster():
        for module in linears:
            module.forward = linear.Linear(module)  # type: ignore[method-assign,assignment]
        levers.append("linear layers through oneDNN")
    return levers


class _InFloat32:
    """A module's forward, outside autocast."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def __call__(self, inputs: torch.Tensor) -> Any:
        if not torch.is_autocast_enabled("cpu"):
            return self.forward(inputs)
        with torch.autocast("cpu", enabled=False):
            return self.forward(inputs.float())
