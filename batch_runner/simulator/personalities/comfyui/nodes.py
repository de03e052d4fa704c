"""The node classes that the server has: core ones, and those of given workflows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ANY = "*"
SEED_MAX = 2**64 - 1
SIDE = ("INT", {"default": 512, "min": 1, "max": 16384})
BATCH = ("INT", {"default": 1, "min": 1, "max": 4096})
FACTOR = ("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0})
TEXT = ("STRING", {"multiline": True})
PREFIX = ("STRING", {"default": "ComfyUI"})
SAMPLERS = ["euler", "euler_ancestral", "heun", "dpm_2", "dpmpp_2m", "dpmpp_sde", "ddim", "uni_pc"]
SCHEDULERS = ["simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal"]
SCALERS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]

Inputs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeClass:
    """A node class: its inputs with their types, its outputs, and whether it makes files.

    The type of an input is (name, limits), a list of choices, or a name: a link to an output of
    that type. `FILES` as a choice means a name of a file that the server may have.
    """

    required: Inputs = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    optional: Inputs = field(default_factory=dict)
    makes_files: bool = False

    def inputs(self) -> dict[str, Any]:
        return {**self.required, **self.optional}

    def info(self, name: str) -> dict[str, Any]:
        """Return the class as /object_info shows it."""
        shown = {"required": _shown(self.required)}
        if self.optional:
            shown["optional"] = _shown(self.optional)
        return {
            "input": shown,
            "input_order": {kind: list(inputs) for kind, inputs in shown.items()},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.outputs),
            "name": name,
            "display_name": name,
            "description": "",
            "python_module": "nodes",
            "category": "simulated",
            "output_node": self.makes_files,
        }


@dataclass(frozen=True, slots=True)
class Files:
    """Names of files on the server; any other name is accepted, too."""

    names: tuple[str, ...]


def _shown(inputs: Inputs) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, kind in inputs.items():
        if isinstance(kind, Files):
            # Not a list of choices, as a real server shows it, because other names are accepted.
            shown[name] = ["STRING", {"default": kind.names[0]}]
        else:
            shown[name] = list(kind) if isinstance(kind, tuple) else [kind]
    return shown


_SAMPLER: Inputs = {
    "model": "MODEL",
    "seed": ("INT", {"default": 0, "min": 0, "max": SEED_MAX}),
    "steps": ("INT", {"default": 20, "min": 1, "max": 10000}),
    "cfg": ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0}),
    "sampler_name": SAMPLERS,
    "scheduler": SCHEDULERS,
    "positive": "CONDITIONING",
    "negative": "CONDITIONING",
    "latent_image": "LATENT",
    "denoise": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
}
_SCALE: Inputs = {"image": "IMAGE", "upscale_method": SCALERS, "width": SIDE, "height": SIDE}

CORE: dict[str, NodeClass] = {
    "CheckpointLoaderSimple": NodeClass(
        {"ckpt_name": Files(("model.safetensors",))}, ("MODEL", "CLIP", "VAE")
    ),
    "UNETLoader": NodeClass(
        {"unet_name": Files(("unet.safetensors",)), "weight_dtype": Files(("default",))},
        ("MODEL",),
    ),
    "CLIPLoader": NodeClass(
        {"clip_name": Files(("clip.safetensors",)), "type": Files(("stable_diffusion",))},
        ("CLIP",),
    ),
    "VAELoader": NodeClass({"vae_name": Files(("vae.safetensors",))}, ("VAE",)),
    "LoraLoader": NodeClass(
        {
            "model": "MODEL",
            "clip": "CLIP",
            "lora_name": Files(("lora.safetensors",)),
            "strength_model": FACTOR,
            "strength_clip": FACTOR,
        },
        ("MODEL", "CLIP"),
    ),
    "CLIPTextEncode": NodeClass({"text": TEXT, "clip": "CLIP"}, ("CONDITIONING",)),
    "ConditioningZeroOut": NodeClass({"conditioning": "CONDITIONING"}, ("CONDITIONING",)),
    "FluxGuidance": NodeClass(
        {"conditioning": "CONDITIONING", "guidance": FACTOR}, ("CONDITIONING",)
    ),
    "KSampler": NodeClass(_SAMPLER, ("LATENT",)),
    "EmptyLatentImage": NodeClass(
        {"width": SIDE, "height": SIDE, "batch_size": BATCH}, ("LATENT",)
    ),
    "EmptySD3LatentImage": NodeClass(
        {"width": SIDE, "height": SIDE, "batch_size": BATCH}, ("LATENT",)
    ),
    "VAEDecode": NodeClass({"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "VAEEncode": NodeClass({"pixels": "IMAGE", "vae": "VAE"}, ("LATENT",)),
    "LoadImage": NodeClass({"image": Files(("example.png",))}, ("IMAGE", "MASK")),
    "EmptyImage": NodeClass(
        {"width": SIDE, "height": SIDE, "batch_size": BATCH},
        ("IMAGE",),
        {"color": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFF})},
    ),
    "ImageScale": NodeClass({**_SCALE, "crop": ["disabled", "center"]}, ("IMAGE",)),
    "ImageInvert": NodeClass({"image": "IMAGE"}, ("IMAGE",)),
    "ImageBatch": NodeClass({"image1": "IMAGE", "image2": "IMAGE"}, ("IMAGE",)),
    "SaveImage": NodeClass({"images": "IMAGE", "filename_prefix": PREFIX}, makes_files=True),
    "PreviewImage": NodeClass({"images": "IMAGE"}, makes_files=True),
}


def node_classes(workflows: Iterable[Mapping[str, Any]]) -> dict[str, NodeClass]:
    """Return the core classes and those of `workflows`, with the inputs that are used there."""
    found: dict[str, dict[str, Any]] = {}
    linked: set[str] = set()
    for workflow in workflows:
        for node in workflow.values():
            if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
                continue
            inputs = node.get("inputs") or {}
            found.setdefault(node["class_type"], {}).update(dict.fromkeys(inputs, (ANY, {})))
            sources = [value[0] for value in inputs.values() if is_link(value)]
            linked |= {
                source_node["class_type"]
                for source in sources
                if isinstance(source_node := workflow.get(source), Mapping)
                and isinstance(source_node.get("class_type"), str)
            }
    learned = {
        name: NodeClass({}, (ANY,) * 8, inputs, makes_files=name not in linked)
        for name, inputs in found.items()
    }
    return learned | CORE


def is_link(value: Any) -> bool:
    """Return whether the value of an input is a link to an output of another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
