"""The backends of `diorama.render.rasterize`, one file each."""
