"""Workflow files of ComfyUI: read one, check params against it, find what can be varied."""
