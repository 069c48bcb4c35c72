"""Built simulators are kept as everything that is compiled: see `gen.cache`."""

from sterna.gen.cache import Cache, key_of
from sterna.gen.trust import cache_folder

__all__ = ["Cache", "cache_folder", "key_of"]
