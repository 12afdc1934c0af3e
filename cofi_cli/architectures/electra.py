"""ELECTRA (Clark et al. 2020): BERT with narrower embeddings in its smaller sizes."""

from cofi_cli.architectures.adapter import Adapter, Rename
from cofi_cli.architectures.bert import CONFIG, FIXED, dense_then_projection, encoder_renames

ELECTRA = Adapter(
    model_type="electra",
    prefix="electra.",
    config=CONFIG | {"embedding_size": "embedding_size"},
    fixed=FIXED,
    renames=(
        *encoder_renames("electra."),
        Rename("electra.embeddings_project", "model.encoder.embeddings.projection"),
    ),
    heads=dense_then_projection("Electra", act="gelu"),
)
