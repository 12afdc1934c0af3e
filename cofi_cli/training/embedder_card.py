"""What a model card says of a sentence embedder."""

SNIPPET = """import cofi_cli  # or trust_remote_code=True below
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("PATH")
vectors = model.encode(["The river rises in the hills.", "Its source is up in the hills."])
similarity = model.similarity(vectors[0], vectors[1])"""
