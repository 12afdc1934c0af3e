"""What a model card says of a model that finds answers in a context.

transformers 5 has no pipeline for it, so the span is decoded in the open.
"""

SNIPPET = """import torch
import cofi_cli  # or trust_remote_code=True below
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

model = AutoModelForQuestionAnswering.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
question, context = "Where does the river rise?", "The river rises in the hills."
inputs = tokenizer(question, context, truncation="only_second", return_tensors="pt")
with torch.no_grad():
    out = model(**inputs)

# The best span of the context, of at most 30 tokens.
inside = torch.tensor([part == 1 for part in inputs.sequence_ids(0)])
allowed = torch.outer(inside, inside).triu().tril(29)
scores = out.start_logits[0][:, None] + out.end_logits[0]
first, last = divmod(int(scores.masked_fill(~allowed, -1e9).argmax()), len(inside))
answer = context[inputs.token_to_chars(0, first).start : inputs.token_to_chars(0, last).end]"""
