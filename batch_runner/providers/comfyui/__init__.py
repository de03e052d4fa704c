"""The user's own ComfyUI servers."""

from batch_runner.providers.comfyui.provider import ComfyUI, open_comfyui

__all__ = ["ComfyUI", "open_comfyui"]
