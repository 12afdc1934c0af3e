"""``import cofi_cli.auto`` lets transformers' Auto classes open a pruned model.

Without cofi, ``trust_remote_code=True`` does the same by the code in the model's folder.
"""

from __future__ import annotations

import transformers

from cofi_cli.modeling import HEADS, CofiConfig, CofiModel

transformers.AutoConfig.register(CofiConfig.model_type, CofiConfig, exist_ok=True)
transformers.AutoModel.register(CofiConfig, CofiModel, exist_ok=True)
for _own in HEADS.values():
    if _own._auto_class != "AutoModel":  # opens as the bare encoder
        getattr(transformers, str(_own._auto_class)).register(CofiConfig, _own, exist_ok=True)
