"""inarch: transfer learning with plugins. This module is the public door; it imports nothing until a name is used.

The names are in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
